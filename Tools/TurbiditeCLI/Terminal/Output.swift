// Output — bytes on their way to a descriptor, in large writes.
//
// Room:    Tools/TurbiditeCLI.
// Limits:  256 KiB are gathered; what is not flushed is not written, so each verb's end flushes.

/// A buffered writer.
///
/// Not thread-safe: each verb writes from its one thread.
final class Output {
  /// Large enough that a system call costs less than the copying (64 KiB and more measure equal).
  static let capacity = 256 << 10

  /// Where the bytes go.
  let descriptor: Descriptor
  /// How errors name it.
  let name: String
  /// The bytes that wait.
  private var buffer: [UInt8] = []
  /// All bytes that were given so far.
  private(set) var byteCount: UInt64 = 0

  init(_ descriptor: Descriptor, name: String) {
    self.descriptor = descriptor
    self.name = name
    buffer.reserveCapacity(Output.capacity + 4096)
  }

  /// Standard output.
  static func standard() -> Output { Output(.output, name: "standard output") }

  /// Adds bytes.
  func write(_ bytes: some Collection<UInt8>) throws(CommandFailure) {
    buffer.append(contentsOf: bytes)
    byteCount += UInt64(bytes.count)
    if buffer.count >= Output.capacity { try flush() }
  }

  /// Adds text.
  func write(_ text: String) throws(CommandFailure) {
    try write(text.utf8)
  }

  /// Lets `body` append to the buffer in place.
  func append(_ body: (inout [UInt8]) -> Void) throws(CommandFailure) {
    let before = buffer.count
    body(&buffer)
    byteCount += UInt64(buffer.count - before)
    if buffer.count >= Output.capacity { try flush() }
  }

  /// Writes what waits.
  ///
  /// - Throws: `brokenPipe` when nobody reads any more; otherwise status 74, whatever the cause:
  ///   a full disk under standard output is a failure to write, not to create.
  func flush() throws(CommandFailure) {
    guard !buffer.isEmpty else { return }
    do throws(DescriptorFailure) {
      try descriptor.write(buffer)
    } catch {
      buffer.removeAll()
      if error.isBrokenPipe { throw .brokenPipe }
      throw .stated(
        Statement(
          status: ExitStatus.inputOutput, what: "write failed: \(error.message)", place: name,
          remedy: "make room there, or write elsewhere; what was written is incomplete"))
    }
    buffer.removeAll(keepingCapacity: true)
  }

  /// Runs `body`, then writes what waits, also when `body` fails: what was read before a damaged
  /// block or a signal is whole records, and the reader gets them.
  func finishing(_ body: () throws -> Void) throws {
    do {
      try body()
    } catch {
      do throws(CommandFailure) {
        try flush()
      } catch {
        // The first failure is the one to act on.
      }
      throw error
    }
    try flush()
  }
}
