// KeyArena — a key kept in memory that is used again for the next one.
//
// Room:    Engine/Table.
// Limits:  Grows by doubling to what its largest use needed, and never shrinks. One thread.

/// The bytes of one key.
///
/// Invariant: `count <= memory.count`; bytes below `count` are initialised.
struct KeyArena {
  private var memory: OwnedBuffer
  private var count = 0

  init() throws(StoreError) {
    memory = try OwnedBuffer.allocate(1024, for: "keys")
  }

  /// The key; valid until it is next replaced.
  var view: ByteView { memory.view.slice(0, count) }

  /// Makes `key` the content.
  mutating func replace(with key: ByteView) throws(StoreError) {
    if key.count > memory.count {
      memory = try OwnedBuffer.allocate(max(memory.count * 2, key.count), for: "keys")
    }
    count = memory.overwrite(with: key).count
  }
}
