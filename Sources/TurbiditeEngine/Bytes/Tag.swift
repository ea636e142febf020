// Tag — what distinguishes the versions of one user key: a sequence number and a kind.
//
// Room:    Engine/Bytes.
// Format:  FORMAT.md section 2.3.
// Source:  The internal key of LevelDB (doc/impl.md); the packing is the field's usual one.
// Limits:  Sequence numbers are below 2^56.

/// What an entry does to its key.
///
/// The raw values are stored in files and never change.
enum EntryKind: UInt8, Sendable, Hashable, CaseIterable {
  /// A tombstone: the key is absent from this sequence number on.
  case deletion = 0
  /// The key has a value from this sequence number on.
  case value = 1
  /// Every key in a range is absent from this sequence number on (log frames and tombstone blocks).
  case rangeDeletion = 2
}

/// A sequence number and a kind in one integer: `sequence << 8 | kind`.
///
/// Among entries of one key the larger tag is the newer and comes first.
struct Tag: Sendable, Hashable {
  var rawValue: UInt64

  /// The largest sequence number a store can reach.
  static let maximumSequence: UInt64 = 1 << 56 - 1

  init(rawValue: UInt64) { self.rawValue = rawValue }

  init(sequence: UInt64, kind: EntryKind) {
    assert(sequence <= Tag.maximumSequence)
    rawValue = sequence << 8 | UInt64(kind.rawValue)
  }

  /// The tag that sorts before every entry visible at `sequence`: what a lookup seeks.
  static func newest(at sequence: UInt64) -> Tag { Tag(rawValue: sequence << 8 | 0xff) }

  var sequence: UInt64 { rawValue >> 8 }
  var kindByte: UInt8 { UInt8(truncatingIfNeeded: rawValue) }
  var isValue: Bool { kindByte == EntryKind.value.rawValue }
  var isDeletion: Bool { kindByte == EntryKind.deletion.rawValue }
}

/// Internal key order: user keys bytewise ascending, and of one key the newest first.
@inline(__always)
func compareInternal(_ key: ByteView, _ tag: Tag, _ otherKey: ByteView, _ otherTag: Tag) -> Int {
  let order = key.compare(otherKey)
  if order != 0 { return order }
  if tag.rawValue == otherTag.rawValue { return 0 }
  return tag.rawValue > otherTag.rawValue ? -1 : 1
}
