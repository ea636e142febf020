// LineParser — lines and frames out of what a program prints, however it comes in pieces.
//
// Room:    Engine/Bytes.

/// Why what a program has printed cannot be taken.
package enum PrintedFailure: Error, Hashable {
  /// More bytes than a key and a value may have.
  case tooLong(byteCount: Int)
  /// The output ends within a frame.
  case cutOff(byteCount: Int)
}

/// Cuts a program's output into keys and what follows them.
///
/// Of a line, the key is what stands before the first tab, or all of it, and the rest begins with
/// the tab, or is empty: so key and rest are the line. Of a frame, both are as they were framed.
package struct LineParser {
  /// What an output consists of.
  package enum Form: Sendable, Hashable {
    /// Lines, each ended by a newline; the last one need not be.
    case lines
    /// Keys and values, each with its length in front: two lengths (4 bytes each, low byte first),
    /// the key, the value.
    case frames
  }

  private let form: Form
  /// A beginning whose end has not come yet.
  private var rest: [UInt8] = []
  private static let frameHeaderByteCount = 8
  private static let largestLineByteCount = Limits.keyByteCount + Limits.valueByteCount + 1

  package init(_ form: Form) { self.form = form }

  /// Takes the next piece of the output.
  package mutating func feed(
    _ bytes: RawSpan, _ body: (_ key: RawSpan, _ rest: RawSpan) -> Void
  ) throws(PrintedFailure) {
    let form = form
    var carried = rest
    rest = []
    try bytes.withView { view throws(PrintedFailure) in
      var view = view
      if !carried.isEmpty {
        // What completes the record that began before; then the piece goes on by itself.
        let missing = LineParser.missing(of: carried, form)
        switch form {
        case .lines:
          guard let end = view.firstIndex(of: 0x0a) else {
            carried.append(view)
            return try keep(carried)
          }
          carried.append(view.slice(0, end + 1))
          view = view.slice(end + 1, view.count - end - 1)
        case .frames:
          // The header first, which says how much is missing behind it.
          let headerCount = min(missing, view.count)
          carried.append(view.slice(0, headerCount))
          view = view.slice(headerCount, view.count - headerCount)
          guard missing == headerCount else { return try keep(carried) }
          let bodyCount = min(LineParser.missing(of: carried, form), view.count)
          carried.append(view.slice(0, bodyCount))
          view = view.slice(bodyCount, view.count - bodyCount)
          if LineParser.missing(of: carried, form) > 0 { return try keep(carried) }
        }
        let used = try carried.withView { view throws(PrintedFailure) in
          try LineParser.take(view, form, body)
        }
        assert(used == carried.count)
      }
      let used = try LineParser.take(view, form, body)
      try keep(view.slice(used, view.count - used).bytes())
    }
  }

  /// Says that the output has ended.
  package mutating func finish(
    _ body: (_ key: RawSpan, _ rest: RawSpan) -> Void
  ) throws(PrintedFailure) {
    guard !rest.isEmpty else { return }
    guard form == .lines else { throw .cutOff(byteCount: rest.count) }
    rest.withView { LineParser.takeLine($0, body) }
    rest = []
  }

  private mutating func keep(_ bytes: [UInt8]) throws(PrintedFailure) {
    guard bytes.count <= LineParser.largestLineByteCount + LineParser.frameHeaderByteCount else {
      throw .tooLong(byteCount: bytes.count)
    }
    rest = bytes
  }

  /// The bytes that a frame lacks, or its header while that is not whole; of a line 1.
  private static func missing(of bytes: [UInt8], _ form: Form) -> Int {
    guard form == .frames else { return 1 }
    guard bytes.count >= frameHeaderByteCount else { return frameHeaderByteCount - bytes.count }
    return bytes.withView { frameByteCount($0) } - bytes.count
  }

  private static func frameByteCount(_ view: ByteView) -> Int {
    frameHeaderByteCount + Int(view.load(0, as: UInt32.self)) + Int(view.load(4, as: UInt32.self))
  }

  /// Takes all whole records.
  ///
  /// - Returns: their bytes.
  private static func take(
    _ view: ByteView, _ form: Form, _ body: (RawSpan, RawSpan) -> Void
  ) throws(PrintedFailure) -> Int {
    var start = 0
    while start < view.count {
      let left = view.slice(start, view.count &- start)
      switch form {
      case .lines:
        guard let end = left.firstIndex(of: 0x0a) else { return start }
        takeLine(left.slice(0, end), body)
        start += end + 1
      case .frames:
        guard left.count >= frameHeaderByteCount else { return start }
        let byteCount = frameByteCount(left)
        guard byteCount <= largestLineByteCount + frameHeaderByteCount else {
          throw .tooLong(byteCount: byteCount)
        }
        guard left.count >= byteCount else { return start }
        let keyCount = Int(left.load(0, as: UInt32.self))
        let key = left.slice(frameHeaderByteCount, keyCount)
        let value = left.slice(
          frameHeaderByteCount + keyCount, byteCount - frameHeaderByteCount - keyCount)
        body(key.span, value.span)
        start += byteCount
      }
    }
    return start
  }

  private static func takeLine(_ line: ByteView, _ body: (RawSpan, RawSpan) -> Void) {
    let end = line.firstIndex(of: 0x09) ?? line.count
    let key = line.slice(0, end)
    let rest = line.slice(end, line.count &- end)
    body(key.span, rest.span)
  }
}

extension [UInt8] {
  /// Appends what ``LineParser`` reads as this key and rest.
  package mutating func append(_ key: RawSpan, _ rest: RawSpan, as form: LineParser.Form) {
    if form == .frames {
      append(littleEndian: UInt32(key.byteCount))
      append(littleEndian: UInt32(rest.byteCount))
    }
    key.withView { append($0) }
    rest.withView { append($0) }
    if form == .lines { append(0x0a) }
  }
}
