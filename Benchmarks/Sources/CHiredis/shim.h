// The system library, as the module CHiredis.
#include <hiredis/hiredis.h>
