// ProgramOutput — standard output of a program, in large pieces.
//
// Room:    Programs.

/// What a program writes, read on the thread that wants it.
struct ProgramOutput: ~Copyable {
  /// Why reading has ended.
  enum Ending {
    /// All of it was read, or reading was stopped.
    case over
    /// There is more than the limit.
    case tooMuch
    /// The receiver wants no more.
    case unwanted
  }

  /// How many bytes are received at once at least, but for the last and for a program that pauses.
  private static let pieceByteCount = 64 << 10
  /// What fits into the buffer: small enough to stay in a processor's cache.
  private static let bufferByteCount = 256 << 10
  /// How long bytes lie here while the program prints no more, in milliseconds.
  private static let longestWait: Int32 = 100

  private let end: PipeEnd
  private let stop: Bell
  private let limit: Int
  private let buffer: UnsafeMutableRawBufferPointer
  private var filledByteCount = 0
  /// What was received.
  private(set) var byteCount = 0

  init(_ end: consuming PipeEnd, stop: Bell, limit: Int?) {
    self.end = end
    self.stop = stop
    self.limit = limit ?? .max
    buffer = .allocate(byteCount: Self.bufferByteCount, alignment: 64)
  }

  // Safe: it was allocated by `init`, and a receiver has it for a call only.
  deinit { unsafe buffer.deallocate() }

  /// Reads until the end of the output, or until the bell rings; then only what is in the pipe.
  mutating func read(_ receive: (UnsafeRawBufferPointer) -> Bool) -> Ending {
    // What a program that still prints may add after the bell, which is what was there when it
    // rang.
    var allowance = Int.max
    while true {
      // A piece is received long before the buffer is full.
      precondition(filledByteCount < Self.pieceByteCount)
      // Safe: checked on the line above.
      let rest = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[filledByteCount...])
      switch end.read(into: rest) {
      case .end:
        return deliver(receive) ? .over : .unwanted
      case .wait:
        if allowance < .max { return deliver(receive) ? .over : .unwanted }
        // Nothing is held back while the program thinks.
        let milliseconds = filledByteCount > 0 ? Self.longestWait : -1
        if end.waitForBytes(milliseconds: milliseconds, unless: stop) {
          allowance = end.unreadByteCount
        } else if filledByteCount > 0, end.unreadByteCount == 0 {
          if !deliver(receive) { return .unwanted }
        }
      case .bytes(let count):
        filledByteCount += count
        if filledByteCount > limit - byteCount {
          filledByteCount = limit - byteCount
          return deliver(receive) ? .tooMuch : .unwanted
        }
        if filledByteCount >= Self.pieceByteCount {
          if !deliver(receive) { return .unwanted }
          if allowance == .max, stop.isRinging { allowance = end.unreadByteCount }
        }
        if allowance < .max {
          allowance -= count
          if allowance <= 0 { return deliver(receive) ? .over : .unwanted }
        }
      }
    }
  }

  /// Hands over what there is.
  private mutating func deliver(_ receive: (UnsafeRawBufferPointer) -> Bool) -> Bool {
    if filledByteCount == 0 { return true }
    let count = filledByteCount
    filledByteCount = 0
    byteCount += count
    // Safe: `count` is at most the buffer's count, as all of it was read into the buffer.
    return unsafe receive(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
  }
}
