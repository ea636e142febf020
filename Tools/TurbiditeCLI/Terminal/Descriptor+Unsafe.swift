// Descriptor — the system calls that the command makes itself: descriptors, terminal, environment.
//
// Room:    Tools/TurbiditeCLI.
// Source:  POSIX.1-2017 read, write, poll, open. Short transfers and EINTR are handled here.
// Limits:  The one file, with Signals+Unsafe, that imports Glibc.

#if canImport(Glibc)
import Glibc
#endif

extension Descriptor {
  /// Where this process works; nil when that cannot be told, or is not UTF-8.
  static var workingDirectory: String? {
    // Safe: the system allocates what it returns, a string that ends with a zero, which is copied.
    guard let path = unsafe getcwd(nil, 0) else { return nil }
    defer { unsafe free(path) }
    return unsafe String(validatingCString: path)
  }
}

extension CommandLine {
  /// The place of the first argument, from 1 on, that is not UTF-8; nil when all are.
  ///
  /// In `arguments` such bytes have become U+FFFD, so that two keys, names or paths would be one.
  static var firstNotText: Int? {
    (1..<max(1, Int(argc))).first { index in
      // Safe: the system gives `argc` strings that end with a zero; nothing here changes them.
      guard let argument = unsafe unsafeArgv[index] else { return false }
      return unsafe String(validatingCString: argument) == nil
    }
  }
}

/// A system call that failed.
struct DescriptorFailure: Error, Sendable, Hashable {
  /// The causes that have an exit status of their own.
  enum Cause: Sendable, Hashable {
    case absent
    case exists
    case permission
    case handlesOrMemory
    case other
  }

  /// The call's name.
  var operation: String
  /// `errno`.
  var code: Int32

  /// Why, coarsely.
  var cause: Cause {
    switch code {
    case ENOENT, ENOTDIR: .absent
    case EEXIST: .exists
    case EACCES, EPERM, EROFS: .permission
    case EMFILE, ENFILE, ENOMEM: .handlesOrMemory
    default: .other
    }
  }

  /// The reader of a pipe has gone.
  var isBrokenPipe: Bool { code == EPIPE }

  /// The system's own words.
  var message: String {
    // Safe: strerror returns a string that ends with a zero, and no other thread of the command
    // calls it.
    guard let text = unsafe strerror(code) else { return "error \(code)" }
    return unsafe String(cString: text)
  }
}

/// An open file of this process.
///
/// The number is not closed when the value goes.
struct Descriptor: Sendable, Hashable {
  /// The descriptor's number.
  var number: Int32

  /// Standard input.
  static let input = Descriptor(number: 0)
  /// Standard output.
  static let output = Descriptor(number: 1)
  /// Standard error.
  static let error = Descriptor(number: 2)

  /// Puts something in the place of standard descriptors that are closed: files of a store that are
  /// opened would get their numbers, and be read and written in their stead.
  ///
  /// Using one fails as it would with nothing there. Called once, before anything is opened.
  static func occupyStandard() {
    for number in Int32(0)...2 where fcntl(number, F_GETFD) == -1 {
      // Safe: the path is a literal. The number is the lowest free one, which open gives out.
      _ = unsafe open("/dev/null", number == 0 ? O_WRONLY : O_RDONLY)
    }
  }

  /// Opens a file for reading.
  static func reading(_ path: String) throws(DescriptorFailure) -> Descriptor {
    try opened(path, O_RDONLY | O_CLOEXEC)
  }

  /// Opens what should be a regular file for reading, and waits for nobody when it is a pipe.
  static func readingWithoutWait(_ path: String) throws(DescriptorFailure) -> Descriptor {
    try opened(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)
  }

  /// Creates a file, which must not exist: a mistyped name never overwrites anything.
  static func creating(_ path: String) throws(DescriptorFailure) -> Descriptor {
    try opened(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC)
  }

  private static func opened(
    _ path: String, _ flags: Int32
  ) throws(DescriptorFailure)
    -> Descriptor
  {
    let number = open(path, flags, 0o600)
    guard number >= 0 else { throw DescriptorFailure(operation: "open", code: errno) }
    return Descriptor(number: number)
  }

  /// Whether this is a terminal.
  var isTerminal: Bool { isatty(number) == 1 }

  /// The file's size in bytes when it is a regular file.
  var regularByteCount: UInt64? {
    var status = stat()
    // Safe: fstat fills the structure it is given, or fails.
    guard unsafe fstat(number, &status) == 0 else { return nil }
    guard status.st_mode & S_IFMT == S_IFREG else { return nil }
    return UInt64(clamping: status.st_size)
  }

  /// Gives the number back.
  ///
  /// The error is reported: a full disk may show here first.
  func close() throws(DescriptorFailure) {
    guard Glibc.close(number) == 0 else { throw DescriptorFailure(operation: "close", code: errno) }
  }

  /// Reads up to `limit` bytes into `buffer` from `start` on; 0 at the end of the file.
  ///
  /// - Precondition: `start + limit` is within the buffer.
  func read(
    into buffer: inout [UInt8], at start: Int, limit: Int
  ) throws(DescriptorFailure)
    -> Int
  {
    precondition(start >= 0)
    precondition(limit >= 0)
    precondition(start <= buffer.count - limit)
    while true {
      // Safe: `start + limit` was checked against the buffer's count above.
      let count = unsafe buffer.withUnsafeMutableBytes { bytes in
        unsafe Glibc.read(number, bytes.baseAddress.map { unsafe $0 + start }, limit)
      }
      if count >= 0 { return count }
      guard errno == EINTR else { throw DescriptorFailure(operation: "read", code: errno) }
    }
  }

  /// Reads up to `limit` bytes at `offset` of a regular file.
  func read(at offset: UInt64, limit: Int) throws(DescriptorFailure) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: limit)
    var filled = 0
    while filled < limit {
      // Safe: `filled < limit`, and `limit` is the array's count.
      let count = unsafe bytes.withUnsafeMutableBytes { memory in
        unsafe pread(
          number, memory.baseAddress.map { unsafe $0 + filled }, limit - filled,
          off_t(clamping: offset) + off_t(filled))
      }
      if count == 0 { break }
      if count > 0 {
        filled += count
      } else if errno != EINTR {
        throw DescriptorFailure(operation: "pread", code: errno)
      }
    }
    return Array(bytes[..<filled])
  }

  /// Writes all bytes, however many calls that takes.
  func write(_ bytes: [UInt8]) throws(DescriptorFailure) {
    var written = 0
    while written < bytes.count {
      // Safe: `written < bytes.count`, so the address and the length are inside the array.
      let count = unsafe bytes.withUnsafeBytes { memory in
        unsafe Glibc.write(
          number, memory.baseAddress.map { unsafe $0 + written }, memory.count - written)
      }
      if count >= 0 {
        written += count
      } else if errno == EAGAIN {
        waitUntilWritable()
      } else if errno != EINTR {
        throw DescriptorFailure(operation: "write", code: errno)
      }
    }
  }

  /// Another program may have made a shared pipe non-blocking: wait rather than fail.
  private func waitUntilWritable() {
    var entry = pollfd(fd: number, events: Int16(POLLOUT), revents: 0)
    // Safe: one entry is given, and its count is one.
    _ = unsafe poll(&entry, 1, -1)
  }

  /// Waits until there is something to read here or `other` has become readable; true for here.
  ///
  /// This is how a signal ends a wait for input: a look at the flag before a blocking read would
  /// miss the signal that comes between the two.
  func waitUntilReadable(unless other: Descriptor) -> Bool {
    while true {
      var entries = [
        pollfd(fd: number, events: Int16(POLLIN), revents: 0),
        pollfd(fd: other.number, events: Int16(POLLIN), revents: 0),
      ]
      // Safe: two entries are given, and the count is two.
      let ready = unsafe entries.withUnsafeMutableBufferPointer { list in
        unsafe poll(list.baseAddress, 2, -1)
      }
      if ready > 0 {
        if entries[1].revents != 0 { return false }
        return true
      }
      // A failure of poll other than EINTR leaves the answer to the read itself.
      if ready < 0 && errno != EINTR { return true }
    }
  }
}

/// Whether files of a store have changed.
enum FileChanges {
  /// A number that is another one when a file of the log was written, made or removed; 0 where
  /// there is no log, which the opening of the store has more to say of.
  ///
  /// Two writes within a tick of the file system's clock, some milliseconds, give one number: who
  /// takes the mark before reading sees the second of them late, but sees it with the next change.
  static func mark(of store: String) throws(CommandFailure) -> UInt64 {
    let path = store + "/log"
    // Safe: opendir takes a string that lives through the call, and what it returns is used until
    // closedir.
    guard let directory = unsafe opendir(path) else {
      let failure = DescriptorFailure(operation: "opendir", code: errno)
      if failure.cause == .absent { return 0 }
      throw .system(failure, at: path)
    }
    defer { unsafe closedir(directory) }
    var mark: UInt64 = 0
    while let entry = unsafe readdir(directory) {
      var status = stat()
      // Safe: the name ends with a zero, and fstatat fills the structure it is given, or fails: a
      // file may be gone by now.
      let found = unsafe withUnsafePointer(to: entry.pointee.d_name) { name in
        unsafe name.withMemoryRebound(to: CChar.self, capacity: 1) { name in
          unsafe fstatat(dirfd(directory), name, &status, AT_SYMLINK_NOFOLLOW)
        }
      }
      guard found == 0 else { continue }
      let time = UInt64(bitPattern: Int64(status.st_mtim.tv_sec) &* 1_000_000_000)
      mark = mark &+ (time &+ UInt64(status.st_mtim.tv_nsec)) &* (UInt64(status.st_ino) | 1)
    }
    return mark
  }
}

/// Makes a directory, which must not exist, in one that does.
func createDirectory(_ path: String) throws(DescriptorFailure) {
  // Safe: the path is a Swift string that lives through the call.
  guard unsafe mkdir(path, 0o700) == 0 else {
    throw DescriptorFailure(operation: "mkdir", code: errno)
  }
}

/// The value of an environment variable.
func environmentValue(_ name: String) -> String? {
  // Safe: getenv returns nil or a string that ends with a zero; nothing here changes the
  // environment.
  guard let value = unsafe getenv(name) else { return nil }
  return unsafe String(cString: value)
}

/// The first place at or after `start`, before `end`, where `bytes` has `byte`.
func firstIndex(of byte: UInt8, in bytes: [UInt8], from start: Int, to end: Int) -> Int? {
  precondition(start >= 0)
  precondition(end <= bytes.count)
  guard start < end else { return nil }
  // Safe: `start < end <= bytes.count` was checked above; memchr stays within the length.
  return unsafe bytes.withUnsafeBytes { memory -> Int? in
    guard let base = memory.baseAddress,
      let found = unsafe memchr(base + start, Int32(byte), end - start)
    else { return nil }
    return unsafe UnsafeRawPointer(found) - base
  }
}

/// Ends the process with a status, at once.
func endProcess(_ status: Int32) -> Never {
  exit(status)
}
