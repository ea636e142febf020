// What Swift cannot spell: system calls that `import Glibc` does not show.
#ifndef C_TURBIDITE_SHIMS_H
#define C_TURBIDITE_SHIMS_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <linux/futex.h>
#include <linux/openat2.h>

/// A hint, so that what it says does not matter: what cannot be written shows when it is synced.
static inline void turbidite_begin_writeback(int descriptor, int64_t start, int64_t count) {
  (void)sync_file_range(descriptor, start, count, SYNC_FILE_RANGE_WRITE);
}

extern uint32_t turbidite_forks;

/// How many forks lie between this process and the one that loaded this library.
static inline uint32_t turbidite_fork_count(void) {
  return __atomic_load_n(&turbidite_forks, __ATOMIC_RELAXED);
}

/// Opens `path` below `directory` one component at a time, following no symbolic link. `path` holds
/// no empty component and no `.` or `..`: the caller has checked.
static inline int turbidite_open_walking(int directory, const char *path, int flags, int mode) {
  char name[256];
  int parent = directory;
  for (;;) {
    const char *slash = strchr(path, '/');
    if (slash == NULL) break;
    size_t count = (size_t)(slash - path);
    int next = -1;
    if (count < sizeof name) {
      memcpy(name, path, count);
      name[count] = 0;
      next = openat(parent, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    } else {
      errno = ENAMETOOLONG;
    }
    int reason = errno;
    if (parent != directory) close(parent);
    if (next < 0) {
      errno = reason;
      return -1;
    }
    parent = next;
    path = slash + 1;
  }
  int descriptor = openat(parent, path, flags | O_NOFOLLOW, mode);
  int reason = errno;
  if (parent != directory) close(parent);
  errno = reason;
  return descriptor;
}

/// Opens `path` below `directory`, following no symbolic link and never leaving it. Walks where the
/// kernel has no openat2 (before 5.6), or a sandbox refuses it.
static inline int turbidite_open_beneath(int directory, const char *path, int flags, int mode) {
  struct open_how how;
  memset(&how, 0, sizeof how);
  how.flags = (uint64_t)(unsigned)flags;
  how.mode = (flags & O_CREAT) ? (uint64_t)mode : 0;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  int descriptor = (int)syscall(SYS_openat2, directory, path, &how, sizeof how);
  if (descriptor < 0 && (errno == ENOSYS || errno == EPERM)) {
    descriptor = turbidite_open_walking(directory, path, flags, mode);
  }
  return descriptor;
}

/// The next name in an open directory; NULL at the end with errno 0, or on failure with errno.
static inline const char *turbidite_next_name(DIR *directory) {
  errno = 0;
  struct dirent *entry = readdir(directory);
  return entry == NULL ? NULL : entry->d_name;
}

/// Names the calling thread; the system keeps the first 15 bytes, which the caller has cut.
static inline void turbidite_name_thread(const char *name) {
  pthread_setname_np(pthread_self(), name);
}

/// Reserves space and extends the file; bytes read as zeros. Returns 0 or -1 with errno.
static inline int turbidite_allocate(int descriptor, int64_t offset, int64_t count) {
  return fallocate(descriptor, 0, (off_t)offset, (off_t)count);
}

/// Lock of an open file description on [start, start + count); type is F_RDLCK, F_WRLCK or F_UNLCK.
static inline int turbidite_lock(int descriptor, int type, int64_t start, int64_t count) {
  struct flock lock;
  memset(&lock, 0, sizeof lock);
  lock.l_type = (short)type;
  lock.l_whence = SEEK_SET;
  lock.l_start = (off_t)start;
  lock.l_len = (off_t)count;
  return fcntl(descriptor, F_OFD_SETLK, &lock);
}

/// 1 when another open file description holds a lock in the way of an exclusive one, 0 when none
/// does, -1 with errno.
static inline int turbidite_lock_conflicts(int descriptor, int64_t start, int64_t count) {
  struct flock lock;
  memset(&lock, 0, sizeof lock);
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  lock.l_start = (off_t)start;
  lock.l_len = (off_t)count;
  if (fcntl(descriptor, F_OFD_GETLK, &lock) != 0) return -1;
  return lock.l_type != F_UNLCK;
}

/// The text of an errno; GNU strerror_r, which may return a constant instead of `buffer`.
static inline const char *turbidite_strerror(int code, char *buffer, size_t count) {
  return strerror_r(code, buffer, count);
}

/// Sleeps while `*word == expected`, at most `nanoseconds` (negative: without limit).
static inline void turbidite_futex_wait(const void *word, uint32_t expected, int64_t nanoseconds) {
  struct timespec limit = {nanoseconds / 1000000000, nanoseconds % 1000000000};
  syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, nanoseconds < 0 ? NULL : &limit, NULL, 0);
}

/// Wakes up to `count` sleepers on `word`.
static inline void turbidite_futex_wake(const void *word, int count) {
  syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
}

#endif
