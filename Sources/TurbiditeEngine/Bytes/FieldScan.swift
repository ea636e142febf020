// FieldScan — the words, fields and numbers in a run of bytes.
//
// Room:    Engine/Bytes.

/// Takes text apart without copying it.
package enum FieldScan {
  /// Calls `body` with each run of bytes between one `separator` and the next.
  package static func fields(
    of span: RawSpan, separatedBy separator: UInt8, _ body: (RawSpan) -> Void
  ) {
    span.withView { view in
      var start = 0
      var index = 0
      while index < view.count {
        if view[index] == separator {
          let field = view.slice(start, index &- start)
          body(field.span)
          start = index &+ 1
        }
        index &+= 1
      }
      let field = view.slice(start, view.count &- start)
      body(field.span)
    }
  }

  /// Calls `body` with each run of bytes that are no white space of ASCII.
  package static func words(of span: RawSpan, _ body: (RawSpan) -> Void) {
    span.withView { view in
      var start = 0
      var index = 0
      while index < view.count {
        let byte = view[index]
        if byte == 0x20 || byte &- 9 < 5 {
          if index > start {
            let word = view.slice(start, index &- start)
            body(word.span)
          }
          start = index &+ 1
        }
        index &+= 1
      }
      if start < view.count {
        let word = view.slice(start, view.count &- start)
        body(word.span)
      }
    }
  }

  /// The integer that the bytes spell in decimal; nil when they spell none, or one beyond 64 bits.
  package static func decimal(_ span: RawSpan) -> Int? {
    span.withView { view in
      var index = 0
      var isNegative = false
      if let first = view.isEmpty ? nil : view[0], first == 0x2d || first == 0x2b {
        isNegative = first == 0x2d
        index = 1
      }
      guard index < view.count else { return nil }
      // Counted down, as there is one more integer below zero than above.
      var value = 0
      while index < view.count {
        let digit = Int(view[index]) - 0x30
        guard 0...9 ~= digit else { return nil }
        let (tenfold, isBeyond) = value.multipliedReportingOverflow(by: 10)
        let (next, isStillBeyond) = tenfold.subtractingReportingOverflow(digit)
        if isBeyond || isStillBeyond { return nil }
        value = next
        index &+= 1
      }
      if isNegative { return value }
      return value == .min ? nil : -value
    }
  }

  /// Whether one run of bytes begins with another.
  package static func begins(_ span: RawSpan, with prefix: RawSpan) -> Bool {
    span.withView { view in prefix.withView { view.hasPrefix($0) } }
  }

  /// Where a byte comes first; nil where it does not.
  package static func firstIndex(of byte: UInt8, in span: RawSpan) -> Int? {
    span.withView { $0.firstIndex(of: byte) }
  }

  /// Whether a byte is among them.
  package static func contains(_ span: RawSpan, _ byte: UInt8) -> Bool {
    span.withView { $0.firstIndex(of: byte) != nil }
  }

  /// XXH3-64 of the bytes.
  package static func hash(of span: RawSpan, seed: UInt64 = 0) -> UInt64 {
    span.withView { $0.hash(seed: seed) }
  }
}
