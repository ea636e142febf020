// What of the shims needs a place of its own; the rest is in the header.
#include "CTurbiditeShims.h"

uint32_t turbidite_forks = 0;

static void count_fork(void) { __atomic_fetch_add(&turbidite_forks, 1, __ATOMIC_RELAXED); }

// Before main, so that no fork is missed. It fails for want of memory alone, when nothing works.
__attribute__((constructor)) static void watch_forks(void) {
  (void)pthread_atfork(NULL, NULL, count_fork);
}
