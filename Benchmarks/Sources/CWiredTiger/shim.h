// The system library, as the module CWiredTiger; and what Swift cannot call of it, because the number
// of arguments is open.
#include <wiredtiger.h>

static inline void wiredtiger_set_key(WT_CURSOR *cursor, const void *bytes, size_t count) {
  WT_ITEM item = {.data = bytes, .size = count};
  cursor->set_key(cursor, &item);
}

static inline void wiredtiger_set_value(WT_CURSOR *cursor, const void *bytes, size_t count) {
  WT_ITEM item = {.data = bytes, .size = count};
  cursor->set_value(cursor, &item);
}

static inline int wiredtiger_get_key(WT_CURSOR *cursor, WT_ITEM *item) {
  return cursor->get_key(cursor, item);
}

static inline int wiredtiger_get_value(WT_CURSOR *cursor, WT_ITEM *item) {
  return cursor->get_value(cursor, item);
}
