// ManifestTargets — manifests under fuzz: the file, and edits one by one.
//
// Room:    Fuzzers.
// Format:  FORMAT.md section 6.

import TurbiditeSystem

@testable import TurbiditeEngine

/// How a manifest stands in an input.
///
/// Every manifest names the shard of 4,096 slots, in 8 KiB: an input that had them would be nearly
/// nothing else. So it leaves them out, and they are put in before it is read.
enum ManifestForm {
  /// The field that an input leaves out: all slots are in shard 0 of 1.
  static let slotField: [UInt8] = {
    var edit = VersionEdit()
    edit.slots = SlotLayout(
      hashFunction: 1, shardCount: 1, shards: Array(repeating: 0, count: Limits.shardCount))
    return edit.encoded()
  }()

  /// Puts the slots into the first record, and mends the file.
  static func expanded(_ compact: [UInt8], as identity: FileIdentity?) -> [UInt8] {
    let first = 64 + ManifestRecord.headerByteCount
    guard compact.count >= first else { return compact }
    let length = min(Int(compact.load(64 + 16, as: UInt32.self)), compact.count - first)
    var bytes = compact
    bytes.insert(contentsOf: slotField, at: first + length)
    bytes.store(UInt32(length + slotField.count), at: 64 + 16)
    return Mending.manifest(bytes, as: identity)
  }

  /// The reverse: takes the slots out of the first record of a whole manifest.
  static func compacted(_ whole: [UInt8]) -> [UInt8] {
    let first = 64 + ManifestRecord.headerByteCount
    guard whole.count >= first else { return whole }
    let length = Int(whole.load(64 + 16, as: UInt32.self))
    guard length <= whole.count - first else { return whole }
    let payload = Array(whole[first..<first + length])
    do throws(DecodingFailure) {
      var edit = try payload.withView { bytes throws(DecodingFailure) in
        try VersionEdit(decoding: bytes)
      }
      edit.slots = nil
      let short = edit.encoded()
      var bytes = whole
      bytes.replaceSubrange(first..<first + length, with: short)
      bytes.store(UInt32(short.count), at: 64 + 16)
      return bytes
    } catch {
      // No edit of ours: it stays as it is.
      return whole
    }
  }
}

/// The entries of the manifest's fuzzers.
enum ManifestTargets {
  /// Reads a manifest; its state must be what its own snapshot makes again.
  ///
  /// The first byte says whether slots and checksums are put in (even) or the rest is the file.
  static func file(_ input: [UInt8]) {
    guard let first = input.first else { return }
    let rest = Array(input.dropFirst())
    let bytes = first & 1 == 0 ? ManifestForm.expanded(rest, as: nil) : rest
    tolerating { () throws(StoreError) in
      var last: Int?
      let contents = try ManifestContents(try lone(bytes, as: "MANIFEST-000001")) { record in
        require(last == nil || last == record.offset, "records leave a gap")
        last = record.offset + record.byteCount
        checkAgain(record.edit)
      }
      require(contents.tornByteCount < bytes.count, "more is torn than there is")
      checkSnapshot(contents.state)
    }
  }

  /// Applies edits, each behind its length of two bytes.
  static func edits(_ input: [UInt8]) {
    input.withView { view in
      var reader = ByteReader(view)
      var state = ManifestState()
      do throws(DecodingFailure) {
        while !reader.isAtEnd {
          let length = Int(try reader.integer(UInt16.self))
          let edit = try VersionEdit(decoding: try reader.take(min(length, reader.remaining)))
          checkAgain(edit)
          try state.apply(edit)
        }
        checkSnapshot(state)
      } catch {
        require(!error.finding.isEmpty, "a failure says nothing")
      }
    }
  }

  /// An edit, encoded and decoded, is the same edit.
  private static func checkAgain(_ edit: VersionEdit) {
    do throws(DecodingFailure) {
      let again = try edit.encoded().withView { bytes throws(DecodingFailure) in
        try VersionEdit(decoding: bytes)
      }
      require(again == edit, "an edit changes when written again")
    } catch {
      require(false, "an edit that was read cannot be written: \(error.finding)")
    }
  }

  /// The edit that a state makes of itself leads to the same state.
  private static func checkSnapshot(_ state: ManifestState) {
    do throws(DecodingFailure) {
      let edit = try state.snapshot().encoded().withView { bytes throws(DecodingFailure) in
        try VersionEdit(decoding: bytes)
      }
      var again = ManifestState()
      try again.apply(edit)
      again.editNumber = state.editNumber
      // Trees without tables or flushed entries leave no trace, and need none.
      var expected = state
      for (tree, tables) in state.trees where tables.isEmpty && tables.flushedSequence == 0 {
        expected.trees[tree] = nil
      }
      require(again == expected, "a state changes when written again")
    } catch {
      require(false, "a state that was read cannot be written: \(error.finding)")
    }
  }
}
