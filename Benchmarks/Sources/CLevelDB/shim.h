// The system library, as the module CLevelDB.
#include <leveldb/c.h>
