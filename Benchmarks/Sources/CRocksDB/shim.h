// The system library, as the module CRocksDB.
#include <rocksdb/c.h>
