// RepairReport — what a repair found in each file, what it saves, and what is lost.
//
// Room:    Engine/Repair.

/// Bytes whose contents cannot be had back.
package struct RepairLoss: Sendable, Hashable {
  package var offset: UInt64
  /// Nil when it is not known how far the loss goes.
  package var byteCount: UInt64?
  package var finding: String
  /// The sequence numbers of what is lost of a log, where that is known.
  package var sequences: Range<UInt64>?
  /// Keys between which the loss lies, both exclusive where they were seen; nil is open.
  package var after: [UInt8]?
  package var before: [UInt8]?
}

/// One file of the damaged store.
package struct RepairedFile: Sendable, Hashable {
  /// What becomes of what the file holds.
  package enum Fate: String, Sendable, Hashable {
    /// All of it is saved.
    case whole
    /// What is intact is saved.
    case partly
    /// Nothing can be read.
    case lost
    /// Nothing of it belongs to the store any more.
    case unused
  }

  package var path: String
  package var fate: Fate
  /// Entries that are read from it; newer ones elsewhere may stand before them.
  package var entryCount: UInt64 = 0
  /// Entries that cannot be read; nil when nothing tells how many there were.
  package var lostEntryCount: UInt64?
  package var losses: [RepairLoss] = []
  /// Damage to parts that hold no entries: they are made anew.
  package var rebuilt: [RepairLoss] = []
  /// It ends in bytes that are no commit, and that nothing says had been durable.
  package var hasTornTail = false
  /// More in words.
  package var note = ""
}

/// The whole repair.
package struct RepairReport: Sendable, Hashable {
  package var files: [RepairedFile] = []
  /// Why the manifest could not guide the repair; nil when it did.
  package var manifestTrouble: String?
  package var keyspaceNames: [String] = []
  /// Those that may have been dropped, for no manifest tells.
  package var uncertainKeyspaceNames: [String] = []
  package var shardCount = 0
  /// Keys in the new store.
  package var savedEntryCount: UInt64 = 0
  package var savedByteCount: UInt64 = 0
  /// Versions that were left out because a lost place in a newer file may have deleted them.
  package var withheldEntryCount: UInt64 = 0

  /// Cursors that stood behind the last event that is left of a partition, and were moved there.
  package var movedCursorCount = 0

  /// The log ends in bytes that are no commit.
  package var hasTornTail: Bool { files.contains { $0.hasTornTail } }

  /// The log lost commits: what these changed is not known.
  package var areCommitsLost: Bool {
    files.contains { $0.path.hasPrefix(FileNames.logDirectory) && !$0.losses.isEmpty }
  }

  /// Their sequence numbers, as far as the commits around them tell.
  package var lostSequences: [Range<UInt64>] { files.flatMap(\.losses).compactMap(\.sequences) }

  package var isComplete: Bool {
    manifestTrouble == nil && withheldEntryCount == 0
      && files.allSatisfy { $0.fate == .whole || $0.fate == .unused }
  }
}
