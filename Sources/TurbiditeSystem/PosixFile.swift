// PosixFile — one open file of the real disk.
//
// Room:    System.
// Limits:  Under a limit on file sizes (RLIMIT_FSIZE) the system sends SIGXFSZ, which kills by
//          default. Blocking it costs 290 ns on a 370 ns pwrite (measured), so it is blocked around
//          writes only if a limit was set when the file was opened. A process that sets the limit
//          later must ignore the signal. SIGPIPE cannot come from a regular file.

import CTurbiditeShims

#if canImport(Glibc)
import Glibc
#endif

/// An open regular file.
///
/// Invariant: `descriptor` is open as long as this object lives, and belongs to it alone.
final class PosixFile: File {
  let path: String
  private let descriptor: Int32
  private let isWritable: Bool
  private let isSizeLimited: Bool

  /// Takes over `descriptor`.
  init(descriptor: Int32, path: String, isWritable: Bool) {
    self.descriptor = descriptor
    self.path = path
    self.isWritable = isWritable
    isSizeLimited = isWritable && SizeSignal.isLimitSet
  }

  // An error of close is of no use: what had to be durable was synced before.
  deinit { close(descriptor) }

  func size() throws(SystemError) -> UInt64 {
    try PosixFileSystem.status(of: descriptor, path).byteCount
  }

  /// Which file this is, whatever its name.
  func identity() throws(SystemError) -> DirectoryIdentity {
    try PosixFileSystem.status(of: descriptor, path).identity
  }

  func read(
    at offset: UInt64, into target: UnsafeMutableRawBufferPointer
  ) throws(SystemError) -> Int {
    let start = try position("pread", offset)
    guard let base = target.baseAddress else { return 0 }
    var done = 0
    while done < target.count {
      // Safe: `done` is below the buffer's count, and the count passed is what is left of it.
      let count = unsafe pread(descriptor, base + done, target.count - done, start + off_t(done))
      if count > 0 {
        done += count
      } else if count == 0 {
        break
      } else if errno != EINTR {
        throw failure("pread")
      }
    }
    return done
  }

  func write(_ bytes: RawSpan, at offset: UInt64) throws(SystemError) {
    let start = try writablePosition("pwrite", offset)
    // Safe: the pointer is used within the closure, and only for the span's bytes.
    let code = unsafe bytes.withUnsafeBytes { source in
      guarded { unsafe writeAll(source, at: start) }
    }
    if code != 0 { throw SystemError(operation: "pwrite", path: path, code: code) }
  }

  func preallocate(through byteCount: UInt64) throws(SystemError) {
    let end = try writablePosition("fallocate", byteCount)
    let current = off_t(try PosixFileSystem.status(of: descriptor, path).byteCount)
    guard current < end else { return }
    let code = guarded { allocate(from: current, to: end) }
    guard code != 0 else { return }
    // What was allocated before the disk was full is given back; the first error is the one told.
    _ = guarded { ftruncate(descriptor, current) == 0 ? 0 : errno }
    throw SystemError(operation: "fallocate", path: path, code: code)
  }

  func writeZeros(from start: UInt64, to end: UInt64) {
    guard start < end, end <= UInt64(Int64.max) else { return }
    // What cannot be written is zero all the same, and who writes there next hears of it.
    _ = guarded { writeZeros(from: off_t(start), to: off_t(end)) }
  }

  func beginWriteback(from start: UInt64, to end: UInt64) {
    guard start < end, end <= UInt64(Int64.max) else { return }
    withExtendedLifetime(self) {
      turbidite_begin_writeback(descriptor, Int64(start), Int64(end - start))
    }
  }

  func truncate(to byteCount: UInt64) throws(SystemError) {
    let end = try writablePosition("ftruncate", byteCount)
    while true {
      let code = guarded { ftruncate(descriptor, end) == 0 ? 0 : errno }
      if code == 0 { return }
      if code != EINTR { throw SystemError(operation: "ftruncate", path: path, code: code) }
    }
  }

  func sync() throws(SystemError) {
    _ = try PosixFileSystem.retrying("fdatasync", path) { fdatasync(descriptor) }
  }

  func tryLock(
    _ kind: LockKind, from start: UInt64, to end: UInt64
  ) throws(SystemError) -> Bool {
    let type = kind == .shared ? F_RDLCK : F_WRLCK
    let (first, count) = try lockRange("fcntl", start, end)
    while true {
      if turbidite_lock(descriptor, Int32(type), Int64(first), Int64(count)) == 0 { return true }
      switch errno {
      case EAGAIN, EACCES: return false
      case EINTR: continue
      default: throw failure("fcntl")
      }
    }
  }

  func unlock(from start: UInt64, to end: UInt64) throws(SystemError) {
    let (first, count) = try lockRange("fcntl", start, end)
    _ = try PosixFileSystem.retrying("fcntl", path) {
      turbidite_lock(descriptor, Int32(F_UNLCK), Int64(first), Int64(count))
    }
  }

  func isLockedElsewhere(from start: UInt64, to end: UInt64) throws(SystemError) -> Bool {
    let (first, count) = try lockRange("fcntl", start, end)
    return try PosixFileSystem.retrying("fcntl", path) {
      turbidite_lock_conflicts(descriptor, Int64(first), Int64(count))
    } != 0
  }

  // MARK: - Details

  private func failure(_ operation: String) -> SystemError {
    PosixFileSystem.failure(operation, path)
  }

  private func position(_ operation: String, _ offset: UInt64) throws(SystemError) -> off_t {
    guard let position = off_t(exactly: offset) else {
      throw SystemError(operation: operation, path: path, code: EINVAL)
    }
    return position
  }

  /// A file that was opened for reading is not written: checked here, because the system's own
  /// answers differ from call to call.
  private func writablePosition(_ operation: String, _ offset: UInt64) throws(SystemError) -> off_t
  {
    guard isWritable else { throw SystemError(operation: operation, path: path, code: EBADF) }
    return try position(operation, offset)
  }

  private func lockRange(
    _ operation: String, _ start: UInt64, _ end: UInt64
  ) throws(SystemError) -> (off_t, off_t) {
    // The system takes a count of 0 for "to the end of all".
    precondition(start < end, "an empty range cannot be locked")
    let last = try position(operation, end)
    return (off_t(start), last - off_t(start))
  }

  /// Runs `body`, which returns an `errno`, without the danger of SIGXFSZ.
  private func guarded(_ body: () -> Int32) -> Int32 {
    isSizeLimited ? SizeSignal.blocked(body) : body()
  }

  /// Writes all of `source`; returns 0 or the `errno`.
  @unsafe
  private func writeAll(_ source: UnsafeRawBufferPointer, at start: off_t) -> Int32 {
    guard let base = source.baseAddress else { return 0 }
    if off_t.max - start < off_t(source.count) { return EFBIG }
    var done = 0
    while done < source.count {
      // Safe: `done` is below the buffer's count, and the count passed is what is left of it.
      let count = unsafe pwrite(descriptor, base + done, source.count - done, start + off_t(done))
      if count > 0 {
        done += count
      } else if count == 0 {
        return EIO
      } else if errno != EINTR {
        return errno
      }
    }
    return 0
  }

  /// Extends the file from `start` to `end`; returns 0 or the `errno`.
  private func allocate(from start: off_t, to end: off_t) -> Int32 {
    while true {
      if turbidite_allocate(descriptor, Int64(start), Int64(end - start)) == 0 { return 0 }
      switch errno {
      case EINTR: continue
      case EOPNOTSUPP, ENOSYS: return writeZeros(from: start, to: end)
      default: return errno
      }
    }
  }

  private static let zeros = [UInt8](repeating: 0, count: 1 << 16)

  private func writeZeros(from start: off_t, to end: off_t) -> Int32 {
    let zeros = Self.zeros
    var next = start
    while next < end {
      let count = min(off_t(zeros.count), end - next)
      // Safe: `count` is at most the array's.
      let code = unsafe zeros.withUnsafeBytes { bytes in
        unsafe writeAll(UnsafeRawBufferPointer(rebasing: bytes[..<Int(count)]), at: next)
      }
      if code != 0 { return code }
      next += count
    }
    return 0
  }
}

/// SIGXFSZ, which a write beyond RLIMIT_FSIZE sends to the thread that writes.
enum SizeSignal {
  static var isLimitSet: Bool {
    var limit = rlimit()
    // Safe: `limit` is a local that getrlimit fills.
    guard unsafe getrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit) == 0 else {
      return true
    }
    return limit.rlim_cur != rlim_t.max
  }

  /// Runs `body` with the signal blocked on this thread, and takes it away if it came.
  static func blocked(_ body: () -> Int32) -> Int32 {
    var signals = sigset_t()
    var before = sigset_t()
    var pending = sigset_t()
    var now = timespec()
    // Safe: all four are locals of this frame.
    unsafe sigemptyset(&signals)
    unsafe sigaddset(&signals, SIGXFSZ)
    unsafe sigpending(&pending)
    let wasPending = unsafe sigismember(&pending, SIGXFSZ) == 1
    unsafe pthread_sigmask(SIG_BLOCK, &signals, &before)
    let code = body()
    if code == EFBIG && !wasPending {
      while unsafe sigtimedwait(&signals, nil, &now) < 0 && errno == EINTR {}
    }
    unsafe pthread_sigmask(SIG_SETMASK, &before, nil)
    return code
  }
}
