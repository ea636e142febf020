// Lent+C — bytes as C's functions want them.
//
// Room:    Benchmarks.

extension UnsafeRawBufferPointer {
  var characters: UnsafePointer<CChar>? { baseAddress?.assumingMemoryBound(to: CChar.self) }
}
