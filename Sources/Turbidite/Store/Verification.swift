// Verification — a store's files held against each other, from outside.
//
// Room:    Turbidite/Store. Opens nothing for writing.

internal import TurbiditeEngine
package import TurbiditeSystem

/// What a verification found, and how far it went.
public struct Verification: Sendable, Hashable {
  /// One thing that a verification has to say of a file.
  public struct Finding: Sendable, Hashable, CustomStringConvertible {
    /// How bad a finding is.
    public enum Severity: String, Sendable, Hashable {
      /// Something that was written is not there, or does not agree with the rest.
      case damage
      /// The store holds all it should; this is worth knowing.
      ///
      /// A file that nothing refers to, or a tail that was being written when its writer stopped.
      case note
    }

    /// Keys of one keyspace.
    public struct Keys: Sendable, Hashable {
      /// The keyspace's name; empty for the default one.
      public var keyspace: String
      /// No key before this one is affected.
      public var first: Bytes
      /// No key after this one is affected.
      public var last: Bytes
    }

    /// How bad it is.
    public var severity: Severity
    /// The file's path below the store's directory.
    public var file: String
    /// The offset in bytes of what is affected within the file.
    public var offset: UInt64
    /// How many bytes from ``offset`` on are affected; nil when that is not known.
    public var byteCount: UInt64?
    /// What is found, in words.
    public var finding: String
    /// Where the keys lie that may be affected; nil when that is not known, or when none are.
    public var keys: Keys?

    /// The finding with its place.
    public var description: String { "\(file) at offset \(offset): \(finding)" }
  }

  /// Files of the store that were looked at, missing ones among them.
  public var fileCount: Int
  /// The tables among them.
  public var tableCount: Int
  /// The log segments among them.
  public var segmentCount: Int
  /// Entries that were read; only a deep verification reads them.
  public var entryCount: UInt64
  /// The bytes of the files that were looked at.
  public var byteCount: UInt64
  /// What ``byteCount`` will be in the end, as estimated at the start.
  public var totalByteCount: UInt64
  /// Findings that are damage.
  public var damageCount: Int
  /// Findings that are not.
  public var noteCount: Int
  /// Files with damage.
  public var damagedFileCount: Int

  /// Whether nothing is damaged.
  public var isClean: Bool { damageCount == 0 }
}

/// What a running verification tells.
public enum VerificationEvent: Sendable, Hashable {
  /// Something was found.
  case finding(Verification.Finding)
  /// So much was done.
  case progress(Verification)
}

/// Verifies the store at `path`, and tells what it finds as it finds it.
///
/// Looks at every file that the store consists of and at every other file in its directory, goes on
/// behind each finding, and writes nothing: a copy, a checkpoint, a read-only disk and a store that
/// another process is writing will all do. Beside a writer it sees the store of one moment; what it
/// looks at is kept from deletion until it has ended.
///
/// The quick form reads the manifest, the log, and of each table all but its data blocks: header,
/// footer, index, filter, properties. It checks their checksums, the sizes, bounds and counts that
/// the manifest states, the order of the log, and that tables of a level do not overlap. The deep
/// form reads every block and every entry as well, and checks their checksums, order, counts,
/// shards, and that each key is in its table's filter. What was written whole and right can be
/// damaged later without showing in the quick form.
///
/// Blocks. Takes memory for what the manifest states, one log segment, and one table's index and
/// filter.
///
/// - Parameters:
///   - path: the store's directory.
///   - deep: read everything.
///   - report: told each finding when it is made, and the progress at least once a file; what it
///     throws ends the verification and is thrown on. It runs on the calling thread.
/// - Returns: the counts at the end; damage is not thrown.
/// - Throws: ``StoreError/noStore(path:reason:)`` when there is no store,
///   ``StoreError/unsupportedFormat(file:found:supported:)`` when a newer version wrote it, what
///   the system says when the directory cannot be read, and what `report` throws.
public func verify(
  storeAt path: String, deep: Bool = false,
  _ report: (VerificationEvent) throws(StoreError) -> Void = { _ throws(StoreError) in }
) throws(StoreError) -> Verification {
  try verify(try rootDirectory(path), name: path, deep: deep, report)
}

/// Verifies the store in the root of a file system.
package func verify(
  _ fileSystem: any FileSystem, name: String, deep: Bool,
  _ report: (VerificationEvent) throws(StoreError) -> Void
) throws(StoreError) -> Verification {
  var verifier = StoreVerifier(fileSystem, name: name, isDeep: deep)
  let count = try verifier.run { event throws(StoreError) in
    switch event {
    case .finding(let finding): try report(.finding(Verification.Finding(finding)))
    case .progress(let count): try report(.progress(Verification(count)))
    }
  }
  return Verification(count)
}

extension Verification {
  fileprivate init(_ count: StoreVerificationCount) {
    self.init(
      fileCount: count.fileCount, tableCount: count.tableCount, segmentCount: count.segmentCount,
      entryCount: count.entryCount, byteCount: count.byteCount,
      totalByteCount: count.totalByteCount, damageCount: count.damageCount,
      noteCount: count.noteCount, damagedFileCount: count.damagedFileCount)
  }
}

extension Verification.Finding {
  fileprivate init(_ finding: StoreFinding) {
    self.init(
      severity: finding.severity == .damage ? .damage : .note, file: finding.file,
      offset: finding.offset, byteCount: finding.byteCount, finding: finding.text,
      keys: finding.keys.map {
        Keys(keyspace: $0.keyspace, first: Bytes($0.first), last: Bytes($0.last))
      })
  }
}
