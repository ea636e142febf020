// The system library, as the module CLMDB.
#include <lmdb.h>
