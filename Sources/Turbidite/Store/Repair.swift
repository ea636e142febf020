// Repair — a new store out of what is intact of a damaged one.
//
// Room:    Turbidite/Store. Opens nothing of the damaged store for writing.

internal import TurbiditeEngine
package import TurbiditeSystem

/// What a repair saves and what is lost, file by file.
public struct Repair: Sendable, Hashable {
  /// Bytes whose contents cannot be had back.
  public struct Loss: Sendable, Hashable {
    /// The offset in bytes within the file.
    public var offset: UInt64
    /// How many bytes; nil when that is not known.
    public var byteCount: UInt64?
    /// What is wrong, in words.
    public var finding: String
    /// No key before this one is affected; nil when that is not known.
    public var firstKey: Bytes?
    /// No key after this one is affected; nil when that is not known.
    public var lastKey: Bytes?
  }

  /// One file of the damaged store.
  public struct File: Sendable, Hashable {
    /// What becomes of what a file holds.
    public enum Fate: String, Sendable, Hashable {
      /// All of it is saved.
      case whole
      /// What is intact is saved.
      case partly
      /// Nothing of it can be read.
      case lost
      /// It does not belong to the store any more.
      case unused
    }

    /// The path below the store's directory.
    public var path: String
    /// What becomes of it.
    public var fate: Fate
    /// Entries that are read from it; newer ones elsewhere may stand before them.
    public var entryCount: UInt64
    /// Entries of it that are lost; nil when nothing tells how many it had.
    public var lostEntryCount: UInt64?
    /// What cannot be had back.
    public var losses: [Loss]
    /// Damage to parts that hold no entries, such as an index: the new store has its own.
    public var rebuilt: [Loss]
    /// More in words.
    public var note: String
  }

  /// Every file, the manifests first, then tables and the log.
  public var files: [File]
  /// Why the manifest could not guide the repair; nil when it did.
  ///
  /// Tables and log then speak for themselves: names of keyspaces may be lost, a stream of which
  /// only the log is left is a map of its entries, and keyspaces that were dropped may be back.
  public var manifestTrouble: String?
  /// The names of the keyspaces of the new store, the default one among them as an empty name.
  public var keyspaces: [String]
  /// Those of them that may have been dropped: without a manifest nothing tells.
  public var uncertainKeyspaces: [String]
  /// The shards of the new store.
  public var shardCount: Int
  /// Keys in the new store; 0 in a plan.
  public var savedEntryCount: UInt64
  /// Bytes of tables in the new store; 0 in a plan.
  public var savedByteCount: UInt64
  /// Versions left out because a lost place in a newer file may have deleted them.
  ///
  /// A plan counts only those of tables that are left out as a whole.
  public var withheldEntryCount: UInt64
  /// Whether the log lost commits.
  ///
  /// Nothing tells which keys they changed: older values of these show, and what they deleted. By
  /// no other loss does anything come back that was deleted. Without a manifest commits that are
  /// missing at either end of the log are not noticed.
  public var areCommitsLost: Bool
  /// Whether the log ends in bytes that are no commit: of one that was being written, or of the
  /// last ones, damaged before anything in the store said that they had been durable.
  ///
  /// Nothing tells which, so that ``isComplete`` does not count it.
  public var hasTornTail: Bool
  /// Cursors that stood behind the last event that is left of a partition, and were moved to its
  /// end, so that they see what is appended next; 0 in a plan.
  public var movedCursorCount: Int
  /// The sequence numbers of lost commits, as far as the commits around them tell.
  public var lostSequences: [Range<UInt64>]
  /// Whether nothing is lost that is known of.
  public var isComplete: Bool
}

/// Says what a repair of the store at `path` would save, and writes nothing.
///
/// Reads every byte of the store. Blocks; takes memory as ``repair(storeAt:into:progress:)`` does.
///
/// - Parameters:
///   - path: the damaged store's directory; no process has it open for writing.
///   - progress: told the bytes read and an estimate of all there are; what it throws ends the call
///     and is thrown on.
/// - Throws: ``StoreError/noStore(path:reason:)`` when there is nothing of a store,
///   ``StoreError/unsupportedFormat(file:found:supported:)`` when a newer version wrote it, and
/// what
///   the system says when it does not let a directory be read. Damage is not thrown.
public func planRepair(
  storeAt path: String,
  progress: @escaping (UInt64, UInt64) throws(StoreError) -> Void = { _, _ in }
) throws(StoreError) -> Repair {
  var repair = StoreRepair(
    try rootDirectory(path), name: path, random: SystemRandom(), layout: standardLayout,
    progress: progress)
  try repair.plan()
  return Repair(repair.report)
}

/// Makes a new store, at `target`, out of what is intact of the store at `path`.
///
/// The damaged store is only read. Every key whose newest version lies in an intact block of a
/// table or an intact frame of the log is saved, unless that version is a deletion; snapshots and
/// old versions are not. The new store has the same keyspaces and the same number of shards, and an
/// identity of its own. It is durable when this returns. Until then `target` does not exist; if the
/// process dies within, it exists whole or not at all, and what was built stays as `.NAME.repair`
/// beside it until the next repair to that name, which begins anew.
///
/// Reads everything twice and writes the result once. Blocks. Takes memory for the manifest's
/// state, the range deletions, the index and filter of a few tables, one log segment, and 64 MiB.
///
/// - Parameters:
///   - path: the damaged store's directory; no process has it open for writing.
///   - target: the directory to make; its parent exists.
///   - progress: told the bytes read and an estimate of all there are; what it throws ends the
///     repair and is thrown on.
/// - Throws: ``StoreError/storeExists(path:)`` when there is something at `target`,
///   ``StoreError/invalidArgument(_:)`` when `target` lies in the store, and as
///   ``planRepair(storeAt:progress:)``; there is then no new store, except after
///   ``StoreError/durabilityLost(operation:path:code:)``: it is whole, but a power loss may take
/// it.
public func repair(
  storeAt path: String, into target: String,
  progress: @escaping (UInt64, UInt64) throws(StoreError) -> Void = { _, _ in }
) throws(StoreError) -> Repair {
  let store = try rootDirectory(path)
  let (parent, name) = try targetDirectory(target, outside: store)
  do throws(StoreError) {
    return try repair(
      store, name: path, into: name, of: parent, random: SystemRandom(), progress: progress)
  } catch {
    if case .storeExists(name) = error { throw .storeExists(path: target) }
    throw error
  }
}

/// Repairs the store in the root of a file system into a directory of another.
package func repair(
  _ fileSystem: any FileSystem, name: String, into target: String, of parent: any FileSystem,
  random: any RandomSource, progress: @escaping (UInt64, UInt64) throws(StoreError) -> Void
) throws(StoreError) -> Repair {
  var repair = StoreRepair(
    fileSystem, name: name, random: random, layout: standardLayout, progress: progress)
  try repair.run(into: target, of: parent)
  return Repair(repair.report)
}

/// The layout of every new store of so many shards.
private func standardLayout(_ shardCount: Int) -> ShardLayout {
  let ring = HashRing(shardCount: shardCount)
  return ShardLayout(shards: ring.shards, shardCount: ring.numberCount)
}

extension Repair {
  fileprivate init(_ report: RepairReport) {
    self.init(
      files: report.files.map(File.init), manifestTrouble: report.manifestTrouble,
      keyspaces: report.keyspaceNames, uncertainKeyspaces: report.uncertainKeyspaceNames,
      shardCount: report.shardCount, savedEntryCount: report.savedEntryCount,
      savedByteCount: report.savedByteCount, withheldEntryCount: report.withheldEntryCount,
      areCommitsLost: report.areCommitsLost, hasTornTail: report.hasTornTail,
      movedCursorCount: report.movedCursorCount, lostSequences: report.lostSequences,
      isComplete: report.isComplete)
  }
}

extension Repair.File {
  fileprivate init(_ file: RepairedFile) {
    let fate: Fate =
      switch file.fate {
      case .whole: .whole
      case .partly: .partly
      case .lost: .lost
      case .unused: .unused
      }
    self.init(
      path: file.path, fate: fate, entryCount: file.entryCount,
      lostEntryCount: file.lostEntryCount, losses: file.losses.map(Repair.Loss.init),
      rebuilt: file.rebuilt.map(Repair.Loss.init), note: file.note)
  }
}

extension Repair.Loss {
  fileprivate init(_ loss: RepairLoss) {
    self.init(
      offset: loss.offset, byteCount: loss.byteCount, finding: loss.finding,
      firstKey: loss.after.map { Bytes($0) }, lastKey: loss.before.map { Bytes($0) })
  }
}
