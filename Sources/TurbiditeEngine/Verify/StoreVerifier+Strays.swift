// StoreVerifier+Strays — what lies in the directory and is no part of the store.
//
// Room:    Engine/Verify.
// Format:  FORMAT.md section 1.2.

import TurbiditeSystem

extension StoreVerifier {
  /// Tells of every file that nothing refers to, and of directories that should be there.
  mutating func verifyStrays(_ found: FoundManifest, _ report: Report) throws(StoreError) {
    var tables: Set<String> = []
    found.state?.forEachTable { tree, _, table in
      tables.insert(FileNames.table(shard: tree.shard, table.fileNumber))
    }
    for name in try fileSystem.listFiles("").sorted()
    where ![FileNames.logDirectory, FileNames.shardsDirectory, FileNames.jobsDirectory]
      .contains(name)
    {
      try stray(name, tables, found, report)
    }
    try strays(in: FileNames.logDirectory, tables, found, report)
    guard let shards = try directory(FileNames.shardsDirectory) else {
      return try missing(FileNames.shardsDirectory, report)
    }
    for name in shards.sorted() {
      let path = "\(FileNames.shardsDirectory)/\(name)"
      if try directory(path) == nil {
        let shards = 0..<(found.state?.slots?.shardCount ?? 0)
        if shards.contains(where: { FileNames.shardDirectory($0) == path }) {
          try missing(path, report)
        } else {
          try stray(path, tables, found, report)
        }
      } else {
        try strays(in: path, tables, found, report)
      }
    }
    for shard in 0..<(found.state?.slots?.shardCount ?? 0) {
      let path = FileNames.shardDirectory(shard)
      if !shards.contains(where: { "\(FileNames.shardsDirectory)/\($0)" == path }) {
        try missing(path, report)
      }
    }
  }

  private mutating func strays(
    in path: String, _ tables: Set<String>, _ found: FoundManifest, _ report: Report
  ) throws(StoreError) {
    guard let names = try directory(path) else { return try missing(path, report) }
    for name in names.sorted() { try stray("\(path)/\(name)", tables, found, report) }
  }

  private mutating func missing(_ path: String, _ report: Report) throws(StoreError) {
    try tell(
      StoreFinding(.damage, path, "no directory is there, and the store does not open without"),
      report)
  }

  /// Tells of a file if the store does not consist of it.
  private mutating func stray(
    _ path: String, _ tables: Set<String>, _ found: FoundManifest, _ report: Report
  ) throws(StoreError) {
    if path == FileNames.reserve { return try reserve(report) }
    guard let text = strayText(path, tables, found) else { return }
    var byteCount: UInt64 = 0
    do throws(SystemError) { byteCount = try fileSystem.open(path, .read).size() } catch {
      // It went away, as files beside a writer do, or is no file at all.
      if error.isAbsent { return }
      if error.isNoRegularFile {
        // Told when it could not be locked.
        if path == FileNames.lock { return }
        return try tell(StoreFinding(.note, path, "no regular file, and not ours"), report)
      }
      return try tell(StoreFinding(.note, path, "\(text); \(StoreError(error))"), report)
    }
    if path == FileNames.lock, byteCount == 0 { return }
    try tell(StoreFinding(.note, path, byteCount: byteCount, text), report)
  }

  /// Tells of a RESERVE that keeps the store from being opened, or that gives way to a new one.
  private mutating func reserve(_ report: Report) throws(StoreError) {
    do throws(SystemError) { _ = try fileSystem.open(FileNames.reserve, .read) } catch {
      if error.isAbsent { return }
      if error.isNoRegularFile { return try tell(misplaced(FileNames.reserve), report) }
      try tell(StoreFinding(.note, FileNames.reserve, "\(StoreError(error))"), report)
    }
  }

  /// What to say of a file by its name; nil when the store consists of it, or a writer at work may
  /// be making or removing it.
  private func strayText(
    _ path: String, _ tables: Set<String>, _ found: FoundManifest
  ) -> String? {
    let rest =
      found.isWhole ? "the next opening removes it" : "without the manifest its use is unknown"
    switch FileNames.kind(of: path) {
    case .lock: return "LOCK is not empty: its bytes are locked, never written"
    case .reserve: return nil
    case .unknown: return "not a name of ours"
    case .temporary:
      return isLive ? nil : "left by an interrupted write; the next opening removes it"
    case .manifest:
      return isLive || path == found.path ? nil : "a superseded manifest; \(rest)"
    case .logSegment(let number):
      // An earlier floor than the true one still holds: it only grows.
      guard let state = found.state, !isLive, number < state.logFloor else { return nil }
      return "a segment of which all is in tables; \(rest)"
    case .table:
      if !found.isWhole || isLive || tables.contains(path) { return nil }
      return "a table that no edit names; \(rest)"
    }
  }
}
