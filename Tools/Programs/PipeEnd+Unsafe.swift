// PipeEnd — one end of a pipe, read or written without blocking; and the bell that ends a wait.
//
// Room:    Programs.
// Source:  pipe(7): F_SETPIPE_SZ, FIONREAD. The bell is D. J. Bernstein's self-pipe.
// Limits:  1 MiB in a pipe, what Linux gives to any user (/proc/sys/fs/pipe-max-size). When the
//          pipes of a user have too much already, the pipe stays at 64 KiB or less.

import Synchronization
import SystemPackage

#if canImport(Glibc)
import Glibc
#endif

/// A descriptor that no child inherits, and that is closed when the value goes.
struct PipeEnd: ~Copyable, Sendable {
  /// What a read or a write has met.
  enum Transfer: Hashable {
    case bytes(Int)
    /// The other side has closed it.
    case end
    /// It would have to wait.
    case wait
  }

  static let capacity = 1 << 20
  /// F_SETPIPE_SZ, which the module of the C library lacks.
  fileprivate static let setCapacity: Int32 = 1031

  let number: Int32

  fileprivate init(number: Int32) { self.number = number }

  deinit { Glibc.close(number) }

  /// Opens a file for reading.
  init?(reading path: String) {
    let number = open(path, O_RDONLY | O_CLOEXEC)
    guard number >= 0 else { return nil }
    self.number = number
  }

  /// Closes it now, and not when the compiler sees no more use of it.
  consuming func close() {}

  /// Makes our end return rather than wait; the child's is an open file of its own.
  func setNonBlocking() { _ = fcntl(number, F_SETFL, O_NONBLOCK) }

  /// Reads into `memory`, which is not empty.
  func read(into memory: UnsafeMutableRawBufferPointer) -> Transfer {
    while true {
      // Safe: the address and the length are those of one buffer.
      let count = unsafe Glibc.read(number, memory.baseAddress, memory.count)
      if count > 0 { return .bytes(count) }
      if count == 0 { return .end }
      if errno == EAGAIN { return .wait }
      if errno != EINTR { return .end }
    }
  }

  /// Writes from `memory`; SIGPIPE must be blocked on this thread.
  func write(_ memory: UnsafeRawBufferPointer) -> Transfer {
    while true {
      // Safe: the address and the length are those of one buffer.
      let count = unsafe Glibc.write(number, memory.baseAddress, memory.count)
      if count >= 0 { return .bytes(count) }
      if errno == EAGAIN { return .wait }
      if errno != EINTR { return .end }
    }
  }

  /// Bytes that are in the pipe.
  var unreadByteCount: Int {
    var count: Int32 = 0
    // Safe: the call writes one number to where it is told.
    let code = unsafe ioctl(number, UInt(FIONREAD), &count)
    return code == 0 ? Int(count) : 0
  }

  /// Reads into an array, which is not empty.
  func read(into bytes: inout [UInt8]) -> Transfer {
    // Safe: the memory is the array's own, and nothing else has it during the call.
    unsafe bytes.withUnsafeMutableBytes { unsafe read(into: $0) }
  }

  /// Waits until there are bytes or an end to be read, the bell rings, or the time is over.
  ///
  /// - Parameter milliseconds: -1 for any time.
  /// - Returns: whether the bell rings.
  func waitForBytes(milliseconds: Int32 = -1, unless bell: Bell) -> Bool {
    poll(number, events: POLLIN, bell, milliseconds).isRinging
  }

  /// Waits until there is room or nobody reads any more, or the bell rings, which it returns.
  func waitForRoom(unless bell: Bell) -> Bool {
    poll(number, events: POLLOUT, bell, -1).isRinging
  }

  /// Waits for so long, and returns early and false when nobody reads any more or the bell rings.
  func waitForReader(milliseconds: Int32, unless bell: Bell) -> Bool {
    // An end that was closed is told without being asked for.
    let found = poll(number, events: 0, bell, milliseconds)
    return !found.isRinging && found.events == 0
  }
}

/// A pipe whose ends go to different owners, each of which takes its own once.
final class Pipe: Sendable {
  private let readers: Mutex<PipeEnd?>
  private let writers: Mutex<PipeEnd?>

  /// Nil when there are too many descriptors.
  init?() {
    guard let numbers = openPipe([.closeOnExec]) else { return nil }
    // Refused, the pipe is a smaller one.
    _ = fcntl(numbers.reader, PipeEnd.setCapacity, Int32(PipeEnd.capacity))
    readers = Mutex(PipeEnd(number: numbers.reader))
    writers = Mutex(PipeEnd(number: numbers.writer))
  }

  /// The end for reading; nil when it was taken.
  func takeReader() -> PipeEnd? { readers.withLock { $0.take() } }

  /// The end for writing; nil when it was taken.
  func takeWriter() -> PipeEnd? { writers.withLock { $0.take() } }
}

/// Something that one thread rings and others hear while they wait for a pipe.
final class Bell: Sendable {
  fileprivate let number: Int32
  private let writer: Int32

  /// Nil when there are too many descriptors.
  init?() {
    guard let numbers = openPipe([.closeOnExec, .nonBlocking]) else { return nil }
    number = numbers.reader
    writer = numbers.writer
  }

  deinit {
    close(number)
    close(writer)
  }

  func ring() {
    var one: UInt8 = 1
    // Safe: one byte is written from one byte. A full pipe rings already.
    _ = unsafe write(writer, &one, 1)
  }

  /// Waits until it has rung, and stops it.
  ///
  /// Two rings before a wait are one: who rings twice is heard between.
  func wait() {
    while !poll(-1, events: 0, self, -1).isRinging {}
    silence()
  }

  /// Whether it rings.
  var isRinging: Bool { poll(-1, events: 0, self, 0).isRinging }

  /// Waits until it rings, `descriptor` is readable (-1 for none), or the time is over; stops it.
  func wait(orReadable descriptor: Int32, milliseconds: Int32) {
    if poll(descriptor, events: POLLIN, self, milliseconds).isRinging { silence() }
  }

  private func silence() {
    var rings: (UInt64, UInt64) = (0, 0)
    // Safe: at most sixteen bytes are read into sixteen. More rings are heard once more each.
    _ = unsafe read(number, &rings, 16)
  }
}

private func openPipe(
  _ options: FileDescriptor.PipeOptions
) -> (reader: Int32, writer: Int32)? {
  do throws(Errno) {
    let (reader, writer) = try FileDescriptor.pipe(options: options)
    return (reader.rawValue, writer.rawValue)
  } catch {
    // Too many descriptors: a pipe fails for nothing else.
    return nil
  }
}

/// One wait for a descriptor (-1 for none) and a bell.
private func poll(
  _ number: Int32, events: Int32, _ bell: Bell, _ milliseconds: Int32
) -> (events: Int16, isRinging: Bool) {
  var entries = [
    pollfd(fd: number, events: Int16(events), revents: 0),
    pollfd(fd: bell.number, events: Int16(POLLIN), revents: 0),
  ]
  // Safe: two entries are given, and the count is two.
  let count = unsafe entries.withUnsafeMutableBufferPointer { list in
    unsafe Glibc.poll(list.baseAddress, 2, milliseconds)
  }
  // A signal has cut the wait short: every caller looks again.
  if count <= 0 { return (0, false) }
  return (entries[0].revents, entries[1].revents != 0)
}
