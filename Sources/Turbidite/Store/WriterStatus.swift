// WriterStatus — what the process that has a store open says of it, seen from another one.
//
// Room:    Turbidite/Store.
// Format:  FORMAT.md section 8.

internal import TurbiditeEngine
package import TurbiditeSystem

/// What the process that has a store open for writing says of it.
///
/// It is told by a lock, which the kernel takes away with the process: it is never the word of one
/// that died.
public struct WriterStatus: Sendable, Hashable {
  /// Whether the store takes writes.
  @nonexhaustive
  public enum State: String, Sendable, Hashable {
    /// It does, and all is well.
    case usable
    /// It does; damage keeps some tables from being compacted.
    case suspect
    /// It refuses writes until there is room on the disk.
    case paused
    /// It refuses writes until it is opened again.
    case readOnly
  }

  /// Whether the store takes writes.
  public var state: State
  /// Since when, in seconds since 1970 by the writer's clock; nil when all is well.
  public var since: UInt64?
  /// The `errno` that led to it, or 0 when it was none.
  public var code: Int32

  /// What the state means, in a sentence without the time.
  public var meaning: String {
    let cause = code == 0 ? "" : " (\(systemMessage(code)))"
    return switch state {
    case .usable: "usable"
    case .suspect: "usable, but a damaged table keeps others from being compacted"
    case .paused: "paused\(cause): writes go on by themselves when there is room"
    case .readOnly: "read-only\(cause): writes go on when the store is opened again"
    }
  }
}

/// What the process that has the store at `path` open for writing says of it.
///
/// Makes some sixty short calls of the system, waits for nothing and writes nothing. The process
/// may be this one; nil when there is none.
///
/// - Throws: ``StoreError/noStore(path:reason:)`` when there is no such directory, and what the
///   system says when its LOCK file cannot be asked.
public func writerStatus(ofStoreAt path: String) throws(StoreError) -> WriterStatus? {
  try writerStatus(try rootDirectory(path))
}

/// Asks for the writer of the store in the root of a file system.
package func writerStatus(_ fileSystem: any FileSystem) throws(StoreError) -> WriterStatus? {
  let (isLive, status) = try StatusByte.ofWriter(fileSystem)
  guard isLive else { return nil }
  guard let status else { return WriterStatus(state: .usable, since: nil, code: 0) }
  let state: WriterStatus.State =
    switch status.state {
    case .suspect: .suspect
    case .paused: .paused
    case .readOnly: .readOnly
    }
  return WriterStatus(state: state, since: status.since, code: status.code)
}
