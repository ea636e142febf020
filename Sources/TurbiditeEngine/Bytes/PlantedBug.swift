// PlantedBug — mistakes that are in the engine on request, to test the tests.
//
// Room:    Engine/Bytes. Names sites in every room.
// Limits:  Only a build with -DTURBIDITE_PLANTED_BUGS, made by Tools/planted-bugs, can have one.
//          Everywhere else `planted` is the constant false, and the sites cost nothing.

#if TURBIDITE_PLANTED_BUGS
import TurbiditeSystem
#endif

/// One-line mistakes of the kinds that storage engines have had.
///
/// Each is caught by at least one layer of tests, or that layer has a hole. The first line of each
/// comment is its row in docs/planted-bugs.md.
enum PlantedBug: CaseIterable {
  // MARK: - Log

  /// A synced commit does not sync the log.
  case skipLogSync
  /// A synced commit is acknowledged before the log is durable.
  case acknowledgeBeforeSync
  /// Of several segments that are not durable, the wrong one alone is synced.
  case syncOldestSegmentOnly
  /// The name of a new log segment is not made durable.
  case skipLogDirectorySync
  /// A failed sync of the log counts as a success.
  case ignoreLogSyncFailure
  /// A failed sync does not poison the store: the next one is believed.
  case retryFailedSync
  /// A frame says that the log is durable up to itself.
  case claimSyncedTooEarly
  /// A frame whose write failed is not cut off.
  case keepFailedFrame
  /// A frame whose write failed is cut off in the system's cache, and not on the disk.
  case cutFailedFrameInCache
  /// Closing does not make the log durable.
  case closeWithoutSync
  /// Recovery does not rewrite a tail that may not be durable.
  case keepUnsyncedTail
  /// A frame is taken whose checksum is wrong.
  case ignoreFrameChecksum
  /// Zeros count as a frame.
  case acceptZeroFrame
  /// The length in a frame's header is not checked against the file.
  case trustFrameLength
  /// A manifest or segment of a newer format is read as if it were ours.
  case acceptNewerFormat
  /// Recovery goes on behind missing frames.
  case recoverBeyondGap
  /// Recovery does not ask how far the log was durable.
  case forgetSyncedPosition
  /// A torn header of a segment is damage, though nothing durable is missing.
  case condemnTornHeader

  // MARK: - Writing

  /// Only the first half of a batch becomes visible.
  case publishHalfBatch
  /// A batch becomes visible before all of it is inserted.
  case publishBeforeInsertion
  /// A store whose sync failed takes writes.
  case writeToPoisonedStore
  /// A closed store answers scans and gets.
  case readClosedStore
  /// After recovery, sequence numbers of the log are given out again.
  case reuseSequenceNumbers

  // MARK: - Moving slots

  /// Readers see what a shard still holds of slots that it lost.
  case readForeignKeys
  /// A range tombstone ends the search for a key that came from another shard.
  case tombstoneEndsSearch
  /// While slots move, commits go to their old shard alone.
  case forgetMovingCommits
  /// A shard to which slots move is compacted meanwhile.
  case compactWhileMoving
  /// Compactions keep what is not their shard's, and say that they do not.
  case compactionKeepsForeignKeys
  /// That slots are about to move to a shard is not stated.
  case forgetUnsettledTargets
  /// That a shard still holds what it lost is not stated.
  case forgetUnsettledSources

  // MARK: - Background

  /// The log is cut although a memtable still needs it.
  case logFloorTooHigh
  /// A flush claims one sequence number more than it holds.
  case flushedSequenceTooHigh
  /// A flush installs what the log may still lose.
  case flushBeforeLogSync
  /// A flushed table is read after older tables of its level.
  case flushBehindOlderTables
  /// A flush writes the memtable without its range tombstones.
  case flushWithoutRangeTombstones
  /// A flush drops point tombstones that hide older versions.
  case dropTombstonesAtFlush
  /// Compaction drops versions that a snapshot shows.
  case compactionIgnoresSnapshots
  /// Compaction deletes its inputs before the manifest is durable.
  case deleteInputsFirst
  /// A memtable is carried forward without its range tombstones.
  case carryWithoutRangeTombstones
  /// The log is cut before what was carried forward is durable.
  case trimBeforeCarriedIsDurable
  /// Files are deleted that a reader in another process needs.
  case deleteFilesOfReaders

  // MARK: - Manifest

  /// An edit of the manifest is not made durable.
  case skipManifestSync
  /// A new manifest is named before its bytes are durable.
  case skipNewManifestSync
  /// The name of a new manifest or log tail is not made durable.
  case skipRenameSync
  /// A record of the manifest is taken whose checksum is wrong.
  case ignoreManifestChecksum
  /// Dropping a keyspace is not written down.
  case forgetKeyspaceDrop
  /// The manifest does not learn how far the log is durable.
  case editWithoutSyncedPosition

  // MARK: - Opening

  /// The names of new shard directories are not made durable.
  case skipCreationSync
  /// A second writer is let in.
  case openWithoutLock
  /// An opening that fails keeps its lock.
  case keepLockAfterFailedOpen
  /// Of several manifests, the oldest is opened.
  case openOldestManifest
  /// The old manifest is deleted before the new one is durable.
  case deleteOldManifestFirst
  /// The number of a file that no manifest names is given out again.
  case reuseFileNumber

  // MARK: - Tables

  /// A table is installed before its bytes are durable.
  case skipTableSync
  /// The name of a new table is not made durable.
  case skipTableDirectorySync
  /// A data block is taken whose checksum is wrong.
  case ignoreBlockChecksum
  /// An index, a filter or properties are taken whose checksum is wrong.
  case ignorePartChecksum
  /// A block that decompresses to too few bytes is taken.
  case acceptShortDecompression
  /// A read that ends early counts as whole.
  case acceptShortRead
  /// A filter lacks a bit of each key, and calls present keys absent.
  case loseFilterProbe
  /// A scan passes over the last entry of a block.
  case skipLastOfBlock
  /// A scan backward passes over a table.
  case skipTableBackward
  /// The block cache confuses blocks of different tables.
  case cacheMixesFiles
  /// A separator in the index is below the keys of its block.
  case separatorTooSmall
  /// Two tables of a level share the versions of a key.
  case splitVersionsOfKey
  /// Each table of a compaction holds all of its range tombstones.
  case unclippedRangeTombstones
  /// A table forgets what it replaces.
  case forgetReplaced

  // MARK: - Verification, checkpoints and repair

  /// A deep verification says nothing of data blocks whose checksum is wrong.
  case verifyOverlooksBlocks
  /// A checkpoint lacks the log's open segment.
  case checkpointWithoutLogTail
  /// A checkpoint shares the segment that the store goes on writing.
  case linkOpenSegment
  /// Copies in a checkpoint are not made durable.
  case skipCheckpointSync
  /// The name of a finished checkpoint is not made durable.
  case skipCheckpointNameSync
  /// A repair brings back what range deletions had removed.
  case repairIgnoresTombstones

  // MARK: - Order

  /// A range deletion takes the key at its end with it.
  case rangeEndIsInclusive
  /// A range deletion without an end overlooks keys that await a flush.
  case rangeDeletionOverlooksFrozen
  /// A snapshot shows the commit after it.
  case snapshotTooNew
  /// A snapshot just below a version does not keep the one before.
  case snapshotSeparatesTooLittle
  /// A range tombstone is dropped above keys that it hides.
  case dropRangeTombstonesEarly
  /// A compaction drops tombstones although older levels hold the keys.
  case dropTombstonesEarly
  /// A compaction leaves out tables that it overlaps.
  case overlookOverlap
}

/// Whether the engine is to make this mistake.
@inline(__always)
func planted(_ bug: PlantedBug) -> Bool {
  #if TURBIDITE_PLANTED_BUGS
  bug == plantedBug
  #else
  false
  #endif
}

#if TURBIDITE_PLANTED_BUGS
/// The mistake that TURBIDITE_PLANTED_BUG names: read once, when the first site is passed.
private let plantedBug: PlantedBug? = {
  guard let name = environmentVariable("TURBIDITE_PLANTED_BUG"), !name.isEmpty else { return nil }
  let bug = PlantedBug.allCases.first { "\($0)" == name }
  precondition(bug != nil, "no planted bug is called \(name)")
  return bug
}()
#endif
