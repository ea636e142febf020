// KeyArena — keys rebuilt from their prefixes, back to back in memory that is used again.
//
// Room:    Engine/Table.
// Limits:  Grows by doubling to what its largest use needed, and never shrinks. One thread.

/// A growing run of bytes for keys.
///
/// Invariant: `count <= memory.count`; bytes below `count` are initialised.
struct KeyArena {
  private var memory: OwnedBuffer
  private(set) var count = 0

  init() throws(StoreError) {
    memory = try OwnedBuffer.allocate(1024, for: "keys")
  }

  /// The bytes `[start, start + length)`; valid until the arena is next changed.
  @inline(__always)
  func view(_ start: Int, _ length: Int) -> ByteView { memory.view.slice(start, length) }

  /// All bytes; valid until the arena is next changed.
  var view: ByteView { memory.view.slice(0, count) }

  /// Forgets all keys, and keeps the memory.
  @inline(__always)
  mutating func removeAll() { count = 0 }

  /// Appends the first `shared` bytes from `previous` on, then `delta`.
  @inline(__always)
  mutating func append(
    sharing shared: Int, from previous: Int, delta: ByteView
  )
    throws(StoreError)
  {
    precondition(previous >= 0)
    precondition(shared >= 0)
    precondition(previous <= count &- shared)
    let length = shared &+ delta.count
    if length > memory.count &- count { try grow(by: length) }
    // Safe: source and target lie below the capacity ensured above, and do not overlap: the source
    // ends at or before `count`, where the target begins. `delta` checks its own bounds.
    let target = unsafe memory.start + count
    unsafe target.copyMemory(from: memory.start + previous, byteCount: shared)
    unsafe delta.copy(to: target + shared)
    count &+= length
  }

  /// Makes `key` the only content.
  mutating func replace(with key: ByteView) throws(StoreError) {
    count = 0
    try append(sharing: 0, from: 0, delta: key)
  }

  @inline(never)
  private mutating func grow(by length: Int) throws(StoreError) {
    let larger = try OwnedBuffer.allocate(max(memory.count * 2, count + length), for: "keys")
    larger.store(view, at: 0)
    memory = larger
  }
}
