// TableProbe — a table part by part, when it cannot be opened whole.
//
// Room:    Engine/Table.
// Format:  FORMAT.md section 3: the parts hold each other's checksums, so each can be judged alone.

import TurbiditeSystem

/// What can be read of a table, and what is wrong with the rest.
struct TableProbe {
  /// One bad part.
  struct Finding: Hashable {
    var damage: Damage
    var byteCount: UInt64?
  }

  private(set) var findings: [Finding] = []
  private(set) var header: TableHeader?
  private(set) var footer: TableFooter?
  private(set) var footerChecksum: UInt64 = 0
  private(set) var properties: TableProperties?
  private(set) var index: TableIndex?
  private(set) var filter: Filter?
  private(set) var tombstones: RangeTombstones?
  private let file: any File
  private var seed: ChecksumSeed?

  /// Reads the header, the footer and the four parts.
  ///
  /// - Parameters:
  ///   - identity: whose the table should be; nil takes the header's word.
  ///   - failure: what opening it said; listed as well when no part explains it.
  init(
    _ file: any File, identity: TableIdentity?, failure: Damage?
  ) throws(StoreError) {
    self.file = file
    var header: TableHeader?
    try note(0, UInt64(TableFormat.headerByteCount)) { () throws(StoreError) in
      header = try TableHeader.read(from: file).header
    }
    self.header = header
    if let identity = identity ?? header?.identity { try readParts(identity) }
    if let failure, !findings.contains(where: { $0.damage.offset == failure.offset }) {
      findings.append(Finding(damage: failure))
    }
  }

  private mutating func readParts(_ identity: TableIdentity) throws(StoreError) {
    let file = self.file
    let size = try file.byteCount()
    let seed = ChecksumSeed(store: identity.store, fileNumber: identity.fileNumber)
    self.seed = seed
    let length = UInt64(TableFormat.footerByteCount)
    var found: (footer: TableFooter, checksum: UInt64)?
    try note(size > length ? size - length : 0, min(size, length)) { () throws(StoreError) in
      found = try TableFooter.read(from: file, fileByteCount: size, seed: seed, expecting: nil)
    }
    guard let (footer, checksum) = found else { return }
    self.footer = footer
    footerChecksum = checksum
    let part = PartReader(file: file, seed: seed)
    var (filter, tombstones): (Filter?, RangeTombstones?)
    var (index, properties): (TableIndex?, TableProperties?)
    try note(footer.filter) { () throws(StoreError) in filter = try part.filter(footer) }
    try note(footer.tombstones) { () throws(StoreError) in
      tombstones = try part.tombstones(footer).set
    }
    try note(footer.index) { () throws(StoreError) in index = try part.index(footer) }
    // A header that is damaged is known by its checksum, unless it announced more than is known.
    let known = header ?? TableHeader.of(identity, checksum: footer.headerChecksum)
    let optionalFeatures = known?.optionalFeatures
    try note(footer.properties) { () throws(StoreError) in
      properties = try part.properties(footer, optionalFeatures: optionalFeatures)
    }
    (self.filter, self.tombstones) = (filter, tombstones)
    (self.index, self.properties) = (index, properties)
  }

  /// Data block `number` of the index, checked.
  ///
  /// Without the properties the format's own limit bounds what is allocated.
  func block(_ number: Int) throws(StoreError) -> Block {
    guard let index, let seed else { preconditionFailure("a block without an index") }
    let handle = index.handle(number)
    let bytes = try readAvailable(file, at: handle.offset, count: Int(handle.byteCount))
    let largest =
      properties.map { Int($0.largestBlockByteCount) } ?? TableFormat.largestBlockByteCount
    let checked = try checkBlock(bytes, at: handle, seed: seed, largest: largest, in: file)
    return try Block(checked, BlockKey(0, handle.offset), path: file.path)
  }

  private mutating func note(
    _ part: BlockHandle, _ body: () throws(StoreError) -> Void
  ) throws(StoreError) {
    try note(part.offset, part.byteCount, body)
  }

  /// Runs `body`, and keeps what it finds; other failures end the probe.
  private mutating func note(
    _ offset: UInt64, _ byteCount: UInt64, _ body: () throws(StoreError) -> Void
  ) throws(StoreError) {
    do throws(StoreError) { try body() } catch {
      guard let damage = error.finding(at: offset, of: file) else { throw error }
      findings.append(Finding(damage: damage, byteCount: byteCount))
    }
  }
}
