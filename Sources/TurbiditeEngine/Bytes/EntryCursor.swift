// EntryCursor — a position among the entries of one source, in internal key order.
//
// Room:    Engine/Bytes. Sources (memtable, table, a level's run of tables) subclass it; merges
//          and scans see only this.
// Limits:  Not thread-safe: one thread at a time.

/// A cursor over entries: user keys ascending, and of one key the newest version first.
///
/// A class with stored fields rather than a protocol: a merge reads the fields of the current entry
/// without a call, and pays one virtual call an advance (measured: an existential costs twice
/// that).
///
/// Invariants, held whenever no method is running:
/// 1. While `isValid`, `key`, `tag` and `value` describe one entry, and stay valid until the next
///    call of a moving method.
/// 2. After a method throws, `isValid` is false.
class EntryCursor {
  final var isValid = false
  final var key = ByteView.empty
  final var tag = Tag(rawValue: 0)
  final var value = ByteView.empty

  /// Moves to the first entry.
  func seekToFirst() throws(StoreError) { preconditionFailure("abstract") }

  /// Moves to the last entry.
  func seekToLast() throws(StoreError) { preconditionFailure("abstract") }

  /// Moves to the first entry at or after `(target, tag)`.
  func seek(_ target: ByteView, _ tag: Tag) throws(StoreError) { preconditionFailure("abstract") }

  /// Moves to the last entry strictly before `(target, tag)`.
  func seekBefore(_ target: ByteView, _ tag: Tag) throws(StoreError) {
    preconditionFailure("abstract")
  }

  /// Moves to the following entry.
  ///
  /// Precondition: `isValid`.
  func next() throws(StoreError) { preconditionFailure("abstract") }

  /// Moves to the preceding entry.
  ///
  /// Precondition: `isValid`.
  func previous() throws(StoreError) { preconditionFailure("abstract") }
}

/// A source without entries.
final class EmptyCursor: EntryCursor {
  override func seekToFirst() throws(StoreError) {}
  override func seekToLast() throws(StoreError) {}
  override func seek(_ target: ByteView, _ tag: Tag) throws(StoreError) {}
  override func seekBefore(_ target: ByteView, _ tag: Tag) throws(StoreError) {}
}

/// A version of a key, found.
struct FoundEntry {
  var tag: Tag
  /// Valid while the source it came from is held.
  var value: ByteView
}
