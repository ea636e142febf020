// FileInspection+Table — what a lone table holds: its parts, its blocks, its entries.
//
// Room:    Engine/Shard. Goes on behind damage, as far as the parts allow.
// Format:  FORMAT.md section 3.

import TurbiditeSystem

extension FileInspection {
  mutating func inspectTable(
    _ file: any File, _ blocks: Bool, _ entries: Bool
  ) throws(StoreError) {
    kind = "table"
    let probe = try probe(file)
    damage += probe.findings.map(\.damage)
    if let header = probe.header {
      property("store", header.identity.store.hexadecimal)
      property("format", header.version)
      property("table", header.identity.fileNumber)
      property("keyspace", header.identity.keyspace)
      property("shard", header.identity.shard)
    }
    if let counts = probe.properties {
      describe(counts)
      if counts.keyspaceKind != .plain { property("keyspace is", counts.keyspaceKind) }
      if let timestamp = counts.largestTimestamp, timestamp > .min {
        property("largest timestamp", timestamp)
      }
      if let replacement = counts.replacement { describe(replacement) }
    }
    if let filter = probe.filter { describe(filter) }
    if let footer = probe.footer {
      property("footer checksum", hexadecimal(probe.footerChecksum))
      if blocks { sections.append(FileInspection.parts(of: footer, probe)) }
    }
    if let index = probe.index {
      if blocks { sections.append(FileInspection.list(index)) }
      try inspectBlocks(index, probe, file, blocks, entries)
    }
    guard entries, let fragments = probe.tombstones?.fragments, !fragments.isEmpty else { return }
    var list = Section(title: "range tombstones", columns: ["from", "to", "sequences"])
    for fragment in fragments {
      list.rows.append([
        fragment.start.withView(FileInspection.printable),
        fragment.end.withView(FileInspection.printable),
        fragment.sequences.map(String.init).joined(separator: " "),
      ])
    }
    sections.append(list)
  }

  /// The table's parts, and what opening it whole finds beside what they show.
  private func probe(_ file: any File) throws(StoreError) -> TableProbe {
    var failure: Damage?
    do throws(StoreError) {
      let identity = try TableReader.readIdentity(file).identity
      _ = try TableReader(
        file: file, identity: identity, expecting: nil, cache: BlockCache(capacityByteCount: 0))
    } catch {
      guard case .corrupt(let damage) = error else { throw error }
      failure = damage
    }
    return try TableProbe(file, identity: nil, failure: failure)
  }

  private mutating func describe(_ counts: TableProperties) {
    property("entries", counts.entryCount)
    property("point tombstones", counts.deletionCount)
    property("range tombstones", counts.rangeTombstoneCount)
    property("shadowed versions", counts.shadowedCount)
    property("sequences", "\(counts.smallestSequence) to \(counts.largestSequence)")
    property("first key", counts.smallestKey.withView(FileInspection.printable))
    property("last key", counts.largestKey.withView(FileInspection.printable))
    property("raw bytes", counts.rawByteCount)
    property("data blocks", counts.dataBlockCount)
    property("largest block", "\(counts.largestBlockByteCount) raw bytes")
  }

  private mutating func describe(_ replacement: TableReplacement) {
    func list(_ numbers: [UInt64]) -> String {
      numbers.isEmpty ? "none" : numbers.map(String.init).joined(separator: " ")
    }
    let kind = replacement.inputs.isEmpty ? "flush" : "compaction"
    property(
      "group",
      "table \(replacement.ordinal &+ 1)\(replacement.isLast ? ", the last," : "")"
        + " of the \(kind) that began with \(replacement.group)")
    property("replaces", list(replacement.inputs))
    property("gone", list(replacement.gone))
  }

  private mutating func describe(_ filter: Filter) {
    guard filter.blockCount > 0 else { return property("filter", "none: every key may be there") }
    let bitCount = filter.blockCount * 512
    property(
      "filter",
      "\(filter.blockCount) blocks of 64 bytes, \(filter.probeCount) probes,"
        + " \(filter.setBitCount * 100 / bitCount) % of \(bitCount) bits set")
  }

  private static func parts(of footer: TableFooter, _ probe: TableProbe) -> Section {
    var list = Section(title: "parts", columns: ["part", "offset", "bytes", "checksum", "state"])
    let parts: [(String, BlockHandle, Bool)] = [
      ("filter", footer.filter, probe.filter != nil),
      ("range tombstones", footer.tombstones, probe.tombstones != nil),
      ("index", footer.index, probe.index != nil),
      ("properties", footer.properties, probe.properties != nil),
    ]
    for (name, part, isWhole) in parts {
      list.rows.append([
        name, "\(part.offset)", "\(part.byteCount)", hexadecimal(part.checksum),
        isWhole ? "whole" : "damaged",
      ])
    }
    return list
  }

  private static func list(_ index: TableIndex) -> Section {
    var list = Section(
      title: "index", columns: ["block", "offset", "bytes", "checksum", "separator"])
    for number in 0..<index.count {
      let handle = index.handle(number)
      list.rows.append([
        "\(number)", "\(handle.offset)", "\(handle.byteCount)", hexadecimal(handle.checksum),
        index.separatorKey(number).withView(FileInspection.printable),
      ])
    }
    return list
  }

  /// Reads every block, so that damage shows also when no list is asked for.
  private mutating func inspectBlocks(
    _ index: TableIndex, _ probe: TableProbe, _ file: any File, _ blocks: Bool, _ entries: Bool
  ) throws(StoreError) {
    var blockList = Section(
      title: "blocks", columns: ["block", "offset", "bytes", "raw bytes", "entries", "first key"])
    var entryList = Section(title: "entries", columns: ["sequence", "kind", "key", "value"])
    for number in 0..<index.count {
      let handle = index.handle(number)
      var row = ["\(number)", "\(handle.offset)", "\(handle.byteCount)"]
      do throws(StoreError) {
        let block = try probe.block(number)
        let found = FileInspection.walk(block, listsEntries: entries)
        entryList.rows += found.rows
        row += ["\(block.rawByteCount)", "\(block.count)", found.firstKey]
      } catch {
        guard let finding = error.finding(at: handle.offset, of: file) else { throw error }
        damage.append(finding)
        row += ["", "damaged", ""]
      }
      if blocks { blockList.rows.append(row) }
    }
    if blocks { sections.append(blockList) }
    if entries { sections.append(entryList) }
  }

  /// The first key of a block, and its entries when they are asked for.
  private static func walk(
    _ block: Block, listsEntries: Bool
  ) -> (firstKey: String, rows: [[String]]) {
    var rows: [[String]] = []
    if listsEntries {
      for entry in 0..<block.count {
        rows.append([
          "\(block.tag(entry).sequence)", block.tag(entry).isValue ? "value" : "deletion",
          printable(block.key(entry)), printable(block.value(entry)),
        ])
      }
    }
    return (printable(block.key(0)), rows)
  }
}
