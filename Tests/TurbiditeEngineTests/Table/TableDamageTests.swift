import Testing
import TurbiditeSystem

@testable import TurbiditeEngine

/// Damage gives an error that names the file, or the right data: never wrong data, never a trap.
///
/// Method: every byte of a small table flipped, every length it can be cut to, blocks and footers
/// in the wrong place; then payloads with right checksums and wrong contents, at random.
@Suite("Table damage")
struct TableDamageTests {
  /// A table of several blocks, compressed and raw, with versions, tombstones and ranges.
  static func model() -> TableModel {
    var model = TableModel()
    model.options.blockByteCount = 150
    for number in 0..<30 {
      let key = Array("boat/\(100 + number / 2)".utf8)
      let isValue = number % 5 != 0
      let text = number < 15 ? "Gull\(number)" : String(repeating: "x", count: 60)
      model.entries.append(
        ModelEntry(
          key: key, tag: Tag(sequence: UInt64(900 - number), kind: isValue ? .value : .deletion),
          value: isValue ? Array(text.utf8) : []))
    }
    model.tombstones = [(Array("a".utf8), Array("boat/103".utf8), 50), ([1], [2], 60)]
    return model
  }

  /// Reads all there is in every way; returns the first error.
  static func read(
    _ bytes: [UInt8], _ model: TableModel, expecting: TableExpectation?
  ) -> (opened: Bool, error: StoreError?) {
    let file = TableTestFile(bytes)
    var reader: TableReader?
    var first = failure {
      reader = try TableReader(
        file: file, identity: model.identity, expecting: expecting,
        cache: BlockCache(capacityByteCount: 1 << 16))
    }
    guard let reader else { return (false, first) }
    for entry in model.entries {
      let found = failure {
        let found = try reader.found(entry.key, at: entry.tag.sequence)
        #expect(found == entry, "wrong data")
      }
      first = first ?? found
    }
    for access in [BlockAccess.point, .scan] {
      let found = failure {
        let all = try reader.makeCursor(access: access).all()
        #expect(all == model.entries, "wrong data")
      }
      first = first ?? found
    }
    let found = failure { try reader.verify() }
    return (true, first ?? found)
  }

  static func failure(_ body: () throws -> Void) -> StoreError? {
    do { try body() } catch {
      if error as? StoreError == nil { Issue.record(error) }
      return error as? StoreError
    }
    return nil
  }

  static func isDamage(_ error: StoreError?) -> Bool {
    guard case .corrupt(let damage) = error else { return false }
    return damage.file == "shards/0001/000007.tsst" && !damage.finding.isEmpty
  }

  @Test("every flipped byte is found")
  func flips() throws {
    let model = Self.model()
    let (file, summary) = try model.write()
    let bytes = file.bytes
    #expect(Self.read(bytes, model, expecting: summary.expectation).error == nil)
    for (offset, mask) in bytes.indices.flatMap({ offset in [1, 0x80].map { (offset, $0) } }) {
      var flipped = bytes
      flipped[offset] ^= UInt8(mask)
      for expecting in [summary.expectation, nil] {
        let (_, error) = Self.read(flipped, model, expecting: expecting)
        guard Self.isDamage(error) else {
          Issue.record("byte \(offset) ^ \(mask): \(String(describing: error))")
          continue
        }
        guard case .corrupt(let damage) = error else { continue }
        #expect(damage.offset <= UInt64(offset), "the offset is where the structure begins")
      }
    }
  }

  @Test("every truncation is found, and so are bytes added to the end")
  func truncations() throws {
    let model = Self.model()
    let (file, summary) = try model.write()
    for count in 0..<file.bytes.count {
      for expecting in [summary.expectation, nil] {
        let (opened, error) = Self.read(
          Array(file.bytes.prefix(count)), model, expecting: expecting)
        #expect(!opened)
        #expect(Self.isDamage(error), "cut to \(count): \(String(describing: error))")
      }
    }
    for extra in [1, 13, 128, 5_000] {
      let longer = file.bytes + [UInt8](repeating: 0, count: extra)
      #expect(Self.isDamage(Self.read(longer, model, expecting: nil).error))
    }
  }

  @Test("two blocks that changed places are found")
  func swapped() throws {
    var model = Self.model()
    model.options.compresses = false
    model.options.blockByteCount = 1
    let (file, summary) = try model.write()
    let reader = try TableReader(
      file: file, identity: model.identity, expecting: nil, cache: BlockCache(capacityByteCount: 0))
    let handles = (0..<reader.index.count).map { reader.index.handle($0) }
    var count = 0
    for (first, second) in zip(handles, handles.dropFirst())
    where first.byteCount == second.byteCount {
      var bytes = file.bytes
      let (a, b) = (Int(first.offset), Int(second.offset))
      for index in 0..<Int(first.byteCount) { bytes.swapAt(a + index, b + index) }
      let (opened, error) = Self.read(bytes, model, expecting: summary.expectation)
      #expect(opened)
      #expect(Self.isDamage(error))
      count += 1
    }
    #expect(count > 5)
  }

  @Test("a table of another number, store, shard or generation is refused")
  func strangers() throws {
    let model = Self.model()
    let (file, summary) = try model.write()
    var others: [TableModel] = []
    var other = model
    other.identity.fileNumber = 8
    others.append(other)
    other = model
    other.identity.store.low += 1
    others.append(other)
    other = model
    other.identity.shard = 2
    others.append(other)
    other = model
    other.identity.keyspace = 4
    others.append(other)
    other = model
    other.entries[3].value = [9]
    others.append(other)
    for other in others {
      let (stranger, _) = try other.write()
      let whole = Self.read(stranger.bytes, model, expecting: summary.expectation)
      #expect(!whole.opened)
      #expect(Self.isDamage(whole.error))
      let footer = TableFormat.footerByteCount
      let mixed = file.bytes.dropLast(footer) + stranger.bytes.suffix(footer)
      if other.identity != model.identity || stranger.bytes.count != file.bytes.count {
        #expect(Self.isDamage(Self.read(Array(mixed), model, expecting: nil).error))
      }
    }
  }

  @Test("a newer version and an unknown required feature are refused by name")
  func versions() throws {
    let model = Self.model()
    let (file, _) = try model.write()
    var header = TableHeader(identity: model.identity)
    header.version = 2
    var bytes = header.encoded().bytes + file.bytes.dropFirst(64)
    #expect(Self.read(bytes, model, expecting: nil).error?.errorClass == "version")
    header.version = 1
    header.requiredFeatures = 4
    bytes = header.encoded().bytes + file.bytes.dropFirst(64)
    #expect(Self.read(bytes, model, expecting: nil).error?.errorClass == "config")
  }
}
