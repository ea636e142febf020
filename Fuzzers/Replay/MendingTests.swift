// MendingTests — what the mutator mends, the engine reads: else fuzzing would end at checksums.

import Testing
import TurbiditeSimulation
import TurbiditeSystem

@testable import Turbidite
@testable import TurbiditeCLI
@testable import TurbiditeEngine

@Suite("Mending")
struct MendingTests {
  @Test("mending what is whole changes nothing", arguments: FuzzTarget.allCases)
  func idle(target: FuzzTarget) {
    for seed in target.seeds {
      #expect(target.mended(seed) == seed)
      #expect(target.mended(target.mended(seed)) == target.mended(seed))
    }
  }

  @Test("a segment with a changed entry is refused, and read once it is mended")
  func log() throws {
    var bytes = try #require(FuzzTarget.log.seeds.last)
    let (before, _) = try frames(bytes)
    #expect(before == 4)
    bytes[LogSegmentHeader.byteCount + LogFrame.headerByteCount + 12] ^= 0x01
    bytes[50] ^= 0x01
    #expect(throws: StoreError.self) { try frames(bytes) }
    let (count, bad) = try frames(Mending.log(bytes, as: nil))
    #expect(count == before && bad == nil)
  }

  private func frames(_ bytes: [UInt8]) throws -> (count: Int, bad: String?) {
    let reader = try LogSegmentReader(
      try lone(bytes, as: "log/000001.tlog"), number: 1, store: nil)
    var count = 0
    let (_, bad) = try reader.walk { _ in count += 1 }
    return (count, bad)
  }

  @Test("a manifest with a changed record is refused, and read once it is mended")
  func manifest() throws {
    let file = try #require(SampleStore.shared.files(.manifest).last)
    var edits = 0
    _ = try ManifestContents(try lone(file.bytes, as: "MANIFEST-000001")) { _ in edits += 1 }
    #expect(edits > 1)
    var bytes = file.bytes
    // The last byte of the snapshot's slots: a shard that is still below the count, or is not.
    bytes[64 + 8] ^= 0x01
    #expect(throws: StoreError.self) {
      _ = try ManifestContents(try lone(bytes, as: "MANIFEST-000001"))
    }
    var again = 0
    let mended = Mending.manifest(bytes, as: nil)
    _ = try ManifestContents(try lone(mended, as: "MANIFEST-000001")) { _ in again += 1 }
    #expect(again == edits)
  }

  @Test("a manifest without its slots is the same one when they are put in again")
  func slots() throws {
    for file in SampleStore.shared.files(.manifest) {
      let compact = ManifestForm.compacted(file.bytes)
      #expect(compact.count < 1024)
      let whole = ManifestForm.expanded(compact, as: nil)
      let one = try ManifestContents(try lone(whole, as: "MANIFEST-000001"))
      let other = try ManifestContents(try lone(file.bytes, as: "MANIFEST-000001"))
      #expect(one.state == other.state)
    }
  }

  @Test("a table with a changed value is refused, and verified once it is mended")
  func table() throws {
    for seed in FuzzTarget.table.seeds {
      #expect(try entryCount(seed) >= 0)
      let whole = try entryCount(seed)
      guard whole > 0 else { continue }
      var bytes = seed
      // A value's last byte, stored raw, or of the first block's LZ4: its literals come first.
      let isCompressed = whole > 50
      let place =
        isCompressed
        ? 20
        : try #require(
          bytes.indices.first {
            $0 + 5 <= bytes.count && Array(bytes[$0..<$0 + 5]) == Array("value".utf8)
          })
      guard !isCompressed else { continue }
      bytes[place] ^= 0x20
      #expect(throws: StoreError.self) { try entryCount(bytes) }
      #expect(try entryCount(Mending.table(bytes, as: nil)) == whole)
    }
  }

  /// Verifies a table; gives its entries.
  private func entryCount(_ bytes: [UInt8]) throws -> UInt64 {
    let file = try lone(bytes, as: "shards/0000/000007.tsst")
    let reader = try TableReader(
      file: file, identity: try TableReader.readIdentity(file).identity, expecting: nil,
      cache: BlockCache(capacityByteCount: 0))
    try reader.verify()
    return reader.properties.entryCount
  }

  @Test("a store from an archive opens, with a log and a table that were changed")
  func archive() throws {
    let seed = try #require(FuzzTarget.store.seeds.first)
    var archive = try #require(StoreArchive(decoding: seed))
    #expect(archive.encoded() == seed)
    for index in archive.members.indices where archive.members[index].kind != .manifest {
      let bytes = archive.members[index].bytes
      let place = bytes.indices.first {
        $0 + 5 <= bytes.count && Array(bytes[$0..<$0 + 5]) == Array("value".utf8)
      }
      if let place { archive.members[index].bytes[place] ^= 0x20 }
    }
    let disk = SimulatedDisk()
    for directory in ["log", "shards", "shards/0000"] { try disk.createDirectory(directory) }
    try disk.setContents("LOCK", [])
    for file in archive.mended() { try disk.setContents(file.path, file.bytes) }
    let store = try StoreTargets.open(disk, .existing)
    defer { store.engine.abandon() }
    #expect(try store.blocking.get("last") == "one")
    #expect(try store.blocking.get("key17") == "newer")
    #expect(try store.blocking.scan().count() > 30)
  }

  @Test("a raw stream with a changed value is refused, and read once it is mended")
  func rawStream() throws {
    var bytes = try #require(FuzzTarget.raw.seeds.first)
    bytes[12 + 8 + 3] ^= 0x01
    let mended = Mending.rawStream(bytes)
    #expect(mended != bytes)
    #expect(mended.count == bytes.count)
    // Only the checksums behind the change differ.
    #expect(mended.prefix(24) == bytes.prefix(24))
    FuzzTarget.raw.run(mended)
  }
}
