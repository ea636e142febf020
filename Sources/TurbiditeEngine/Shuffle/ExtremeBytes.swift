// ExtremeBytes — the first or the last of many runs of bytes.
//
// Room:    Engine/Shuffle.

/// Keeps the least or the greatest value, bytewise.
///
/// The state is a byte, so that an empty value is one, and the value.
package struct ExtremeBytes: BlobFold {
  package var isOrderFree: Bool { true }
  private let isGreatest: Bool

  package init(isGreatest: Bool) { self.isGreatest = isGreatest }

  package func add(_ value: RawSpan, to state: inout BlobState) throws(StoreError) {
    try value.withView { value throws(StoreError) in
      if state.byteCount > 0 {
        let order = value.compare(state.view.slice(1, state.byteCount - 1))
        if isGreatest ? order <= 0 : order >= 0 { return }
      }
      var bytes: [UInt8] = [1]
      bytes.append(value)
      try state.replace(by: bytes.span.rawBytes)
    }
  }

  package func merge(_ piece: RawSpan, into state: inout BlobState) throws(StoreError) {
    try add(piece.extracting(droppingFirst: 1), to: &state)
  }

  /// The value in a state.
  package static func value<Result>(_ state: RawSpan, _ body: (RawSpan) -> Result) -> Result {
    body(state.extracting(droppingFirst: 1))
  }
}
