// FilteredCursor — the entries of a source that pass.
//
// Room:    Engine/Compaction.

/// Walks over a source and leaves out what a condition refuses.
final class FilteredCursor: EntryCursor {
  private let source: EntryCursor
  private let passes: (ByteView, Tag) -> Bool
  /// The entries that were left out.
  private(set) var refusedCount: UInt64 = 0

  init(_ source: EntryCursor, _ passes: @escaping (ByteView, Tag) -> Bool) {
    self.source = source
    self.passes = passes
  }

  /// Counts anew.
  func forgetRefused() { refusedCount = 0 }

  override func seekToFirst() throws(StoreError) {
    isValid = false
    try source.seekToFirst()
    try settle(forward: true)
  }

  override func seekToLast() throws(StoreError) {
    isValid = false
    try source.seekToLast()
    try settle(forward: false)
  }

  override func seek(_ target: ByteView, _ tag: Tag) throws(StoreError) {
    isValid = false
    try source.seek(target, tag)
    try settle(forward: true)
  }

  override func seekBefore(_ target: ByteView, _ tag: Tag) throws(StoreError) {
    isValid = false
    try source.seekBefore(target, tag)
    try settle(forward: false)
  }

  override func next() throws(StoreError) {
    isValid = false
    try source.next()
    try settle(forward: true)
  }

  override func previous() throws(StoreError) {
    isValid = false
    try source.previous()
    try settle(forward: false)
  }

  private func settle(forward: Bool) throws(StoreError) {
    while source.isValid {
      if passes(source.key, source.tag) {
        key = source.key
        tag = source.tag
        value = source.value
        isValid = true
        return
      }
      refusedCount &+= 1
      if forward { try source.next() } else { try source.previous() }
    }
  }
}
