// Spans — bytes of arrays as raw spans.
//
// Room:    Turbidite/Store.

extension Span<UInt8> {
  /// The elements as raw bytes.
  var rawBytes: RawSpan {
    @_lifetime(copy self)
    get {
      // Safe: every byte of initialised UInt8 elements is initialised.
      let raw = unsafe bytes
      return unsafe _overrideLifetime(raw, copying: self)
    }
  }
}
