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

  /// Looks into a file, which it recognises by its magic number.
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
      throw .invalidArgument("\(name) has \(size) bytes: no file of a store is so short")
    }
    let start = try file.readBuffer(at: 0, count: 8)
    let (bytes, magic) = withExtendedLifetime(start) {
      (start.view.bytes(), start.view.load(0, as: UInt64.self))
    }
    if bytes == TableFormat.headerMagic {
      try inspectTable(file, blocks, entries)
    } else if magic == LogSegmentHeader.magic {
      try inspectLog(file, blocks, entries)
    } else if magic == ManifestContents.magic {
      try inspectManifest(file, blocks || entries)
    } else {
      throw .invalidArgument("\(name) is no table, log segment or manifest")
    }
    properties.append(("file bytes", "\(size)"))
  }

  private mutating func property(_ name: String, _ value: some CustomStringConvertible) {
    properties.append((name, value.description))
  }

  /// Remembers damage and goes on; other failures end the inspection.
  private mutating func note(_ error: StoreError) throws(StoreError) {
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
    let contents: ManifestContents
    do throws(StoreError) {
      contents = try ManifestContents(file) { record in
        edits.rows.append(FileInspection.row(record))
      }
    } catch {
      try note(error)
      if lists { sections.append(edits) }
      return
    }
    let state = contents.state
    property("store", contents.store.hexadecimal)
    property("manifest", contents.number)
    property("edits", edits.rows.count)
    property("last edit", state.editNumber)
    property("next file", state.nextFileNumber)
    property("last sequence", state.lastSequence)
    property("log floor", "segment \(state.logFloor), position \(state.logFloorPosition)")
    property("log durable through", state.syncedPosition)
    property("shards", state.slots.map { "\($0.shardCount)" } ?? "none")
    property("tables", state.tableCount)
    property("torn bytes at the end", contents.tornByteCount)
    for (id, name) in state.keyspaces.sorted(by: { $0.key < $1.key }) {
      property("keyspace \(id)", name.isEmpty ? "(default)" : name)
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

  private static func row(_ record: ManifestRecord) -> [String] {
    let edit = record.edit
    var says: [String] = []
    if let floor = edit.logFloor { says.append("log floor \(floor)") }
    says += edit.createdKeyspaces.map { "creates keyspace \($0.id) \($0.name)" }
    says += edit.droppedKeyspaces.map { "drops keyspace \($0)" }
    says += edit.flushedSequences.sorted { $0.key < $1.key }.map { tree, sequence in
      "\(tree.keyspace)/\(tree.shard) flushed through \(sequence)"
    }
    return [
      "\(record.offset)", "\(record.byteCount)", "\(record.editNumber)",
      record.isSnapshot ? "whole state" : "change", "\(edit.addedTables.count)",
      "\(edit.removedTables.count)", says.joined(separator: "; "),
    ]
  }

  // MARK: - Tables

  private mutating func inspectTable(
    _ file: any File, _ blocks: Bool, _ entries: Bool
  ) throws(StoreError) {
    kind = "table"
    let reader: TableReader
    do throws(StoreError) {
      let (identity, version) = try TableReader.readIdentity(file)
      property("store", identity.store.hexadecimal)
      property("format", version)
      property("table", identity.fileNumber)
      property("keyspace", identity.keyspace)
      property("shard", identity.shard)
      reader = try TableReader(
        file: file, identity: identity, expecting: nil, cache: BlockCache(capacityByteCount: 0))
    } catch {
      return try note(error)
    }
    let counts = reader.properties
    property("entries", counts.entryCount)
    property("point tombstones", counts.deletionCount)
    property("range tombstones", counts.rangeTombstoneCount)
    property("shadowed versions", counts.shadowedCount)
    property("sequences", "\(counts.smallestSequence) to \(counts.largestSequence)")
    property("first key", counts.smallestKey.withView(FileInspection.printable))
    property("last key", counts.largestKey.withView(FileInspection.printable))
    property("raw bytes", counts.rawByteCount)
    property("data blocks", counts.dataBlockCount)
    property("footer checksum", hexadecimal(reader.expectation.footerChecksum))
    try inspectBlocks(of: reader, blocks, entries)
    for fragment in reader.rangeTombstones.fragments where entries {
      if sections.last?.title != "range tombstones" {
        sections.append(Section(title: "range tombstones", columns: ["from", "to", "sequences"]))
      }
      sections[sections.count - 1].rows.append([
        fragment.start.withView(FileInspection.printable),
        fragment.end.withView(FileInspection.printable),
        fragment.sequences.map(String.init).joined(separator: " "),
      ])
    }
  }

  /// Reads every block, so that damage shows also when no list is asked for.
  private mutating func inspectBlocks(
    of reader: TableReader, _ blocks: Bool, _ entries: Bool
  ) throws(StoreError) {
    var blockList = Section(
      title: "blocks", columns: ["block", "offset", "bytes", "raw bytes", "entries", "first key"])
    var entryList = Section(title: "entries", columns: ["sequence", "kind", "key", "value"])
    var group = try EntryGroup()
    for number in 0..<reader.index.count {
      let handle = reader.index.handle(number)
      do throws(StoreError) {
        guard let block = try reader.block(number, .scan) else { continue }
        var firstKey: String?
        for index in 0..<block.restartCount {
          try group.decode(block, group: index)
          for position in 0..<group.count {
            let entry = group[position]
            guard entries || firstKey == nil else { continue }
            let key = FileInspection.printable(group.key(entry))
            if firstKey == nil { firstKey = key }
            guard entries else { continue }
            entryList.rows.append([
              "\(entry.tag.sequence)", entry.tag.isValue ? "value" : "deletion", key,
              FileInspection.printable(block.payload.slice(entry.valueStart, entry.valueCount)),
            ])
          }
        }
        if blocks {
          blockList.rows.append([
            "\(number)", "\(handle.offset)", "\(handle.byteCount)", "\(block.payload.count)",
            "\(block.entryCount)", firstKey ?? "",
          ])
        }
      } catch {
        try note(error)
      }
    }
    if blocks { sections.append(blockList) }
    if entries { sections.append(entryList) }
  }

  /// Printable ASCII, `\xNN` for the rest, cut after 64 bytes.
  private static func printable(_ bytes: ByteView) -> String {
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
