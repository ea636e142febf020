// TableProbe — what is wrong with a table that cannot be opened, part by part.
//
// Room:    Engine/Table.
// Format:  FORMAT.md section 3: the parts hold each other's checksums, so each can be judged alone.

import TurbiditeSystem

/// Looks at the header, the footer and the four parts of a table, each for itself.
struct TableProbe {
  /// One bad part.
  struct Finding: Hashable {
    var damage: Damage
    var byteCount: UInt64?
  }

  private(set) var findings: [Finding] = []

  /// - Parameters:
  ///   - identity: whose the table should be; nil takes the header's word.
  ///   - failure: what opening it said; listed as well when no part explains it.
  init(
    _ file: any File, identity: TableIdentity?, expecting: TableExpectation?, failure: Damage
  ) throws(StoreError) {
    var found: TableHeader?
    try note(0, UInt64(TableFormat.headerByteCount), file) { () throws(StoreError) in
      found = try TableHeader.read(from: file).header
    }
    if let identity = identity ?? found?.identity {
      try probe(file, identity, expecting)
    }
    let isExplained = findings.contains { $0.damage.offset == failure.offset }
    if !isExplained { findings.append(Finding(damage: failure)) }
  }

  private mutating func probe(
    _ file: any File, _ identity: TableIdentity, _ expecting: TableExpectation?
  ) throws(StoreError) {
    let size = try file.byteCount()
    let seed = ChecksumSeed(store: identity.store, fileNumber: identity.fileNumber)
    let length = UInt64(TableFormat.footerByteCount)
    var footer: TableFooter?
    try note(size > length ? size - length : 0, min(size, length), file) {
      () throws(StoreError) in
      footer = try TableFooter.read(
        from: file, fileByteCount: size, seed: seed, expecting: nil
      ).footer
    }
    guard let footer else { return }
    for part in [footer.filter, footer.tombstones, footer.index, footer.properties] {
      try note(part.offset, part.byteCount, file) { () throws(StoreError) in
        _ = try readMetadataBlock(file, at: part, seed: seed)
      }
    }
  }

  /// Runs `body`, and keeps what it finds; other failures end the probe.
  private mutating func note(
    _ offset: UInt64, _ byteCount: UInt64, _ file: any File,
    _ body: () throws(StoreError) -> Void
  ) throws(StoreError) {
    do throws(StoreError) { try body() } catch {
      guard let damage = error.finding(at: offset, of: file) else { throw error }
      findings.append(Finding(damage: damage, byteCount: byteCount))
    }
  }
}
