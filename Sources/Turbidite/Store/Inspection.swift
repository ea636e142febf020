// Inspection — looking at a store's files from outside, for tools.
//
// Room:    Turbidite/Store. Opens nothing for writing.

internal import TurbiditeEngine
internal import TurbiditeSystem

/// One file in a store's directory.
public struct FileDescription: Sendable, Hashable {
  /// What a file is, by its name.
  public enum Kind: String, Sendable, Hashable, CustomStringConvertible {
    /// Says which files the store consists of.
    case manifest
    /// A segment of the commit log.
    case log
    /// A sorted table.
    case table
    /// The file whose bytes processes lock.
    case lock
    /// The file that holds room back for deletions on a full disk.
    case reserve
    /// Not a name of ours, or a file that was being written when its writer stopped.
    case unknown

    /// The kind in a word.
    public var description: String { rawValue }
  }

  /// The path below the store's directory.
  public var path: String
  /// What it is.
  public var kind: Kind
  /// Its size.
  public var byteCount: UInt64
  /// Whether the store consists of it; the others may be removed by the next writer.
  public var isReferenced: Bool
  /// More in words.
  public var detail: String
}

/// What an inspection is to list.
public struct InspectionOptions: Sendable, Hashable {
  /// List blocks, frames or edits.
  public var blocks: Bool
  /// List entries.
  public var entries: Bool

  /// Counts only, unless more is asked for.
  public init(blocks: Bool = false, entries: Bool = false) {
    self.blocks = blocks
    self.entries = entries
  }
}

/// What one file of a store holds.
public struct Inspection: Sendable {
  /// A list of blocks, frames, edits or entries.
  public struct Section: Sendable, Hashable {
    /// What the rows are.
    public var title: String
    /// The names of the columns.
    public var columns: [String]
    /// One row for each thing, as wide as the columns.
    public var rows: [[String]]
  }

  /// `table`, `log segment` or `manifest`.
  public var kind: String
  /// Facts, in the order in which to show them.
  public var properties: [(name: String, value: String)]
  /// The lists that were asked for.
  public var sections: [Section]
  /// What is not as it was written; inspection went on behind it.
  public var damage: [Damage]
}

/// Lists every file of the store at `path`, also those that nothing refers to.
///
/// Blocks. Writes nothing, takes no lock, and may run beside a writer.
public func inventory(at path: String) throws(StoreError) -> [FileDescription] {
  let files = try Engine.inventory(try rootDirectory(path), name: path)
  return files.map { file in
    let kind: FileDescription.Kind =
      switch file.kind {
      case .manifest: .manifest
      case .log: .log
      case .table: .table
      case .lock: .lock
      case .reserve: .reserve
      case .unknown: .unknown
      }
    return FileDescription(
      path: file.path, kind: kind, byteCount: file.byteCount, isReferenced: file.isReferenced,
      detail: file.detail)
  }
}

/// Looks into one table, log segment or manifest, wherever it lies.
///
/// Blocks.
///
/// - Throws: ``StoreError/invalidArgument(_:)`` when it is none of these, and
///   ``StoreError/noStore(path:reason:)`` when there is no file. Damage is not thrown but listed in
///   ``Inspection/damage``.
public func inspect(
  file path: String, options: InspectionOptions = InspectionOptions()
) throws(StoreError) -> Inspection {
  let (directory, name) = split(path)
  let fileSystem = try rootDirectory(directory)
  let file: any File
  do throws(SystemError) { file = try fileSystem.open(name, .read) } catch {
    if error.isNoRegularFile { throw .invalidArgument("\(path) is no regular file") }
    throw named(error, path)
  }
  let found: FileInspection
  do throws(StoreError) {
    found = try FileInspection(
      file, name: path, blocks: options.blocks, entries: options.entries)
  } catch {
    if case .unsupportedFormat(_, let version, let supported) = error {
      throw .unsupportedFormat(file: path, found: version, supported: supported)
    }
    throw error
  }
  return Inspection(
    kind: found.kind, properties: found.properties,
    sections: found.sections.map {
      Inspection.Section(title: $0.title, columns: $0.columns, rows: $0.rows)
    },
    damage: found.damage.map { Damage(file: path, offset: $0.offset, finding: $0.finding) })
}

/// The directory part of a path and its last component.
func split(_ path: String) -> (directory: String, name: String) {
  guard let slash = path.lastIndex(of: "/") else { return (".", path) }
  let directory = path[..<slash]
  return (directory.isEmpty ? "/" : String(directory), String(path[path.index(after: slash)...]))
}

/// The directory at a path that a user gave, as a root.
func rootDirectory(_ path: String) throws(StoreError) -> PosixFileSystem {
  do throws(SystemError) { return try PosixFileSystem.openRoot(path) } catch {
    throw named(error, path)
  }
}

/// The wide error for a path that a user gave.
func named(_ error: SystemError, _ path: String) -> StoreError {
  if error.isAbsent || error.isNotDirectory {
    return .noStore(path: path, reason: systemMessage(error.code))
  }
  if error.isNotText {
    return .invalidArgument("\(path) is below a working directory whose path is not UTF-8")
  }
  var named = error
  named.path = path
  return StoreError(named)
}
