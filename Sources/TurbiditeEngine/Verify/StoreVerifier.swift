// StoreVerifier — every file of a store held against what the manifest and the format say of it.
//
// Room:    Engine/Verify. Writes nothing: files are opened for reading only.
// Format:  FORMAT.md, all of it; section 8 for the locks of a reader.
// Limits:  Memory for the manifest's state, one log segment (1 GiB at most) and one table's index
//          and filter at a time.

package import TurbiditeSystem

/// One verification of one store.
package struct StoreVerifier {
  /// Takes findings and progress; what it throws ends the verification.
  package typealias Report = (StoreVerificationEvent) throws(StoreError) -> Void

  let fileSystem: any FileSystem
  let name: String
  let isDeep: Bool
  /// A process has the store open for writing: what is half-done may be work, not wreckage.
  var isLive = false
  var count = StoreVerificationCount()
  private var damagedFiles: Set<String> = []

  /// - Parameter name: how errors call the store.
  package init(_ fileSystem: any FileSystem, name: String, isDeep: Bool) {
    self.fileSystem = fileSystem
    self.name = name
    self.isDeep = isDeep
  }

  /// Verifies the store in the root of the file system.
  ///
  /// - Throws: what `report` throws; `noStore` where there is nothing of a store;
  ///   `unsupportedFormat` where the manifest is of another version; what the system says when it
  ///   will not let a directory or a file of the store be read. Damage is not thrown.
  package mutating func run(
    _ report: Report
  ) throws(StoreError) -> StoreVerificationCount {
    let lock = try ReaderLock(fileSystem)
    isLive = lock.isWriterLive
    if lock.isMisplaced {
      try tell(misplaced(FileNames.lock), report)
    } else if let trouble = lock.trouble {
      if case .permissionDenied = trouble { throw trouble }
      try tell(StoreFinding(.note, FileNames.lock, "cannot be locked: \(trouble)"), report)
    }
    let found = try readManifest(report)
    try lock.holdState(after: found.isWhole ? found.state?.editNumber : nil)
    try expectTotal(found)
    try countFile(found.byteCount, report)
    try verifyLog(found, report)
    try verifyTables(found, report)
    try verifyStrays(found, report)
    lock.release()
    return count
  }

  /// What to say of something that is no file where the store needs one.
  func misplaced(_ path: String) -> StoreFinding {
    StoreFinding(.damage, path, "no regular file, and the store does not open with it")
  }

  // MARK: - Telling

  mutating func tell(_ finding: StoreFinding, _ report: Report) throws(StoreError) {
    switch finding.severity {
    case .damage:
      count.damageCount += 1
      if damagedFiles.insert(finding.file).inserted { count.damagedFileCount += 1 }
    case .note: count.noteCount += 1
    }
    try report(.finding(finding))
  }

  mutating func countFile(_ byteCount: UInt64, _ report: Report) throws(StoreError) {
    count.fileCount += 1
    count.byteCount += byteCount
    try report(.progress(count))
  }

  /// What the files of the store come to, for the progress.
  private mutating func expectTotal(_ found: FoundManifest) throws(StoreError) {
    var total = found.byteCount
    found.state?.forEachTable { _, _, table in total &+= table.summary.byteCount }
    for number in try segments(of: found) {
      do throws(SystemError) {
        total &+= try fileSystem.open(FileNames.logSegment(number), .read).size()
      } catch {
        // The segment itself is looked at later, and its absence or refusal told then.
        continue
      }
    }
    count.totalByteCount = total
  }

  /// The numbers of the segments that a replay would read; none where there is no directory.
  func segments(of found: FoundManifest) throws(StoreError) -> [UInt64] {
    guard try directory(FileNames.logDirectory) != nil else { return [] }
    let floor = found.state?.logFloor ?? 0
    return try LogRecovery.segmentNumbers(fileSystem).filter { $0 >= floor }
  }

  /// The names in a directory; nil when there is none, or something else in its place.
  func directory(_ path: String) throws(StoreError) -> [String]? {
    do throws(SystemError) { return try fileSystem.list(path) } catch {
      if error.isAbsent || error.isNotDirectory || error.isLink { return nil }
      throw StoreError(error)
    }
  }
}
