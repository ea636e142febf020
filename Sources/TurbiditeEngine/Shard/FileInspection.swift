// FileInspection — what a lone table, log segment or manifest holds.
//
// Room:    Engine/Shard. For tools: goes on behind damage, as far as the format allows.

package import TurbiditeSystem

/// What looking into one file found.
package struct FileInspection: Sendable {
  /// A list of things, as rows.
  package struct Section: Sendable {
    package var title: String
    package var columns: [String]
    package var rows: [[String]] = []
  }

  package var kind: String
  package var properties: [(name: String, value: String)] = []
  package var sections: [Section] = []
  package var damage: [Damage] = []

  /// Looks into a file, which it recognises by its magic number or its name.
  ///
  /// - Parameters:
  ///   - name: what the caller calls the file, for messages.
  ///   - blocks: list the blocks, frames or edits.
  ///   - entries: list the entries.
  package init(
    _ file: any File, name: String, blocks: Bool, entries: Bool
  ) throws(StoreError) {
    kind = ""
    let size = try file.byteCount()
    guard size >= 8 else {
      if let named = FileInspection.kind(byName: name) {
        kind = named
        damage = [
          Damage(
            file: file.path, offset: 0, finding: "\(size) bytes are too few for any \(named)")
        ]
        property("file bytes", size)
        return
      }
      throw .invalidArgument("\(name) has \(size) bytes: no file of a store is so short")
    }
    let start = try file.readBuffer(at: 0, count: 8)
    let (bytes, magic) = withExtendedLifetime(start) {
      (start.view.bytes(), start.view.load(0, as: UInt64.self))
    }
    // The name helps where the magic number is what is damaged.
    let named = FileInspection.kind(byName: name)
    if bytes == TableFormat.headerMagic || named == "table" {
      try inspectTable(file, blocks, entries)
    } else if magic == LogSegmentHeader.magic || named == "log segment" {
      try inspectLog(file, blocks, entries)
    } else if magic == ManifestContents.magic || named == "manifest" {
      try inspectManifest(file, blocks || entries)
    } else {
      throw .invalidArgument("\(name) is no table, log segment or manifest")
    }
    properties.append(("file bytes", "\(size)"))
  }

  /// What a file is by its name alone, wherever it lies; nil when it is none of a store.
  private static func kind(byName name: String) -> String? {
    let last = name.split(separator: "/").last ?? ""
    if last.hasSuffix(".tsst") { return "table" }
    if last.hasSuffix(".tlog") { return "log segment" }
    return last.hasPrefix("MANIFEST-") ? "manifest" : nil
  }

  mutating func property(_ name: String, _ value: some CustomStringConvertible) {
    properties.append((name, value.description))
  }

  /// Remembers damage and goes on; other failures end the inspection.
  mutating func note(_ error: StoreError) throws(StoreError) {
    guard case .corrupt(let finding) = error else { throw error }
    damage.append(finding)
  }

  // MARK: - Log segments

  private mutating func inspectLog(
    _ file: any File, _ blocks: Bool, _ entries: Bool
  ) throws(StoreError) {
    kind = "log segment"
    let segment: LogSegmentReader
    do throws(StoreError) {
      segment = try LogSegmentReader(file, number: 0, store: nil)
    } catch {
      return try note(error)
    }
    guard let header = segment.header else {
      damage.append(
        Damage(file: file.path, offset: 0, finding: "the file ends inside the segment's header"))
      return
    }
    property("store", header.store.hexadecimal)
    property("segment", header.number)
    property("previous segment", header.previousNumber)
    property("base position", header.basePosition)
    property("synced position at creation", header.syncedPosition)
    property("last sequence before", header.lastSequence)
    var frames = Section(
      title: "frames",
      columns: [
        "offset", "bytes", "kind", "first sequence", "entries", "synced through", "compressed",
      ])
    var list = Section(
      title: "entries", columns: ["sequence", "kind", "keyspace", "key", "value"])
    var frameCount = 0
    var entryCount = 0
    var isSealed = false
    var start = LogSegmentHeader.byteCount
    while true {
      let (end, bad) = try segment.walk(from: start) { frame throws(StoreError) in
        frameCount += 1
        entryCount += frame.entryCount
        isSealed = frame.kind == .seal
        if blocks { frames.rows.append(FileInspection.row(frame)) }
        guard entries else { return }
        do throws(StoreError) {
          try segment.forEachEntry(of: frame) { entry, sequence in
            list.rows.append(FileInspection.row(entry, sequence))
          }
        } catch {
          try self.note(error)
        }
      }
      if isSealed { break }
      // Zeros end a segment, unless a frame follows them: then they stand where one was.
      let next = segment.nextFrame(behind: end)
      if let finding = bad ?? (next == nil ? nil : "zeros stand before a frame") {
        damage.append(Damage(file: file.path, offset: UInt64(end), finding: finding))
        let stop = next ?? segment.byteCount
        if blocks { frames.rows.append(["\(end)", "\(stop - end)", "no frame", "", "", "", ""]) }
      }
      guard let next else { break }
      start = next
    }
    property("frames", frameCount)
    property("entries", entryCount)
    property("sealed", isSealed)
    if blocks { sections.append(frames) }
    if entries { sections.append(list) }
  }

  private static func row(_ frame: LogFrame) -> [String] {
    [
      "\(frame.offset)", "\(frame.byteCount)", "\(frame.kind)", "\(frame.firstSequence)",
      "\(frame.entryCount)", "\(frame.syncedPosition)", frame.isCompressed ? "yes" : "no",
    ]
  }

  private static func row(_ entry: LogEntry, _ sequence: UInt64) -> [String] {
    [
      "\(sequence)", "\(entry.kind)", "\(entry.keyspace)", printable(entry.key),
      printable(entry.value),
    ]
  }

  // MARK: - Manifests

  private mutating func inspectManifest(_ file: any File, _ lists: Bool) throws(StoreError) {
    kind = "manifest"
    var edits = Section(
      title: "edits",
      columns: ["offset", "bytes", "edit", "kind", "tables added", "tables removed", "says"])
    var applied: [VersionEdit] = []
    var state = ManifestState()
    do throws(StoreError) {
      let contents = try ManifestContents(file) { record in
        edits.rows.append(FileInspection.row(record))
        applied.append(record.edit)
        state.editNumber = record.editNumber
      }
      state = contents.state
      property("store", contents.store.hexadecimal)
      property("manifest", contents.number)
      property("torn bytes at the end", contents.tornByteCount)
    } catch {
      try note(error)
      guard let offset = damage.last?.offset else { return }
      edits.rows.append(["\(offset)", "", "", "no edit", "", "", "the list ends here"])
      do throws(DecodingFailure) {
        for edit in applied { try state.apply(edit) }
      } catch {
        // They were applied in this order before; what they say is not shown then.
        applied = []
      }
      if applied.isEmpty {
        if lists { sections.append(edits) }
        return
      }
      property("shown", "the state before the damage")
    }
    property("edits", applied.count)
    property("last edit", state.editNumber)
    property("next file", state.nextFileNumber)
    property("last sequence", state.lastSequence)
    property("log floor", "segment \(state.logFloor), position \(state.logFloorPosition)")
    property("log durable through", state.syncedPosition)
    property("shards", state.slots.map { "\($0.shardCount)" } ?? "none")
    if let unsettled = state.unsettledNow {
      property(
        "unsettled shards", unsettled.shards.map { "\($0)" }.joined(separator: ", "))
    }
    property("tables", state.tableCount)
    for (id, keyspace) in state.keyspaces.sorted(by: { $0.key < $1.key }) {
      property("keyspace \(id)", FileInspection.text(of: keyspace))
    }
    guard lists else { return }
    sections.append(edits)
    var tables = Section(
      title: "tables",
      columns: ["keyspace", "shard", "level", "file", "bytes", "entries", "first key", "last key"])
    state.forEachTable { tree, level, table in
      let summary = table.summary
      tables.rows.append([
        "\(tree.keyspace)", "\(tree.shard)", "\(level)", "\(table.fileNumber)",
        "\(summary.byteCount)", "\(summary.entryCount)",
        summary.smallestKey.withView(FileInspection.printable),
        summary.largestKey.withView(FileInspection.printable),
      ])
    }
    sections.append(tables)
  }

  private static func text(of keyspace: KeyspaceDescription) -> String {
    let name = keyspace.name.isEmpty ? "(default)" : keyspace.name
    let kind = keyspace.kind == .plain ? "" : ", \(keyspace.kind)"
    let changes = keyspace.changes.map { ", changes recorded in \($0)" } ?? ""
    return name + kind + changes
  }

  private static func row(_ record: ManifestRecord) -> [String] {
    let edit = record.edit
    var says: [String] = []
    if let floor = edit.logFloor { says.append("log floor \(floor)") }
    says += edit.createdKeyspaces.map { "creates keyspace \($0.id) \(text(of: $0.description))" }
    says += edit.droppedKeyspaces.map { "drops keyspace \($0)" }
    says += edit.renamedKeyspaces.map { "renames keyspace \($0.id) to \($0.name)" }
    says += edit.flushedSequences.sorted { $0.key < $1.key }.map { tree, sequence in
      "\(tree.keyspace)/\(tree.shard) flushed through \(sequence)"
    }
    if !record.isSnapshot {
      // A whole state is listed as the tables that are left.
      says += edit.addedTables.map { "+ table \($0.table.fileNumber) at level \($0.level)" }
      says += edit.removedTables.map { "- table \($0.fileNumber) at level \($0.level)" }
    }
    return [
      "\(record.offset)", "\(record.byteCount)", "\(record.editNumber)",
      record.isSnapshot ? "whole state" : "change", "\(edit.addedTables.count)",
      "\(edit.removedTables.count)", says.joined(separator: "; "),
    ]
  }

  /// Printable ASCII, `\xNN` for the rest, cut after 64 bytes.
  static func printable(_ bytes: ByteView) -> String {
    var text = ""
    for index in 0..<min(bytes.count, 64) {
      let byte = bytes[index]
      switch byte {
      case 0x5c: text += "\\\\"
      case 0x20..<0x7f: text.unicodeScalars.append(Unicode.Scalar(byte))
      default:
        let digits = String(byte, radix: 16)
        text += "\\x" + (digits.count == 1 ? "0" : "") + digits
      }
    }
    return bytes.count > 64 ? text + "… (\(bytes.count) bytes)" : text
  }
}
