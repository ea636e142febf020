import Foundation
import Testing

@testable import Turbidite

/// What the tools see of a store's files, whole and damaged.
///
/// Method: a small real store with a table, a log and a manifest; then each byte of a copy of each
/// file is changed in turn, and the copy is cut at each length: every seventh in files over 4 kB.
@Suite("Inspection")
struct InspectionTests {
  private let scratch = ScratchDirectory()
  private var store: String { scratch.file("store") }
  private let everything = InspectionOptions(blocks: true, entries: true)

  init() throws {
    var options = Store.Options(shardCount: 1)
    options.blockByteCount = 64
    let opened = try Store.Blocking.open(at: store, mode: .create, options: options)
    for number in 0..<20 {
      try opened.blocking.put(Bytes("key\(10 + number)"), Bytes("value \(number)"))
    }
    try opened.blocking.delete("key13")
    try opened.blocking.deleteRange(KeyRange(from: "key20", to: "key22"))
    try opened.blocking.flush()
    try opened.blocking.put("late", Bytes([0, 0x5c, 0xff]))
    try opened.blocking.put("long", Bytes([UInt8](repeating: 0x78, count: 100)))
    try opened.blocking.put("last", "one")
    try opened.blocking.close()
  }

  /// The paths of the files of a kind that the store consists of, the largest last.
  private func files(_ kind: FileDescription.Kind) throws -> [FileDescription] {
    try inventory(at: store).filter { $0.kind == kind && $0.isReferenced }
      .sorted { $0.byteCount < $1.byteCount }
  }

  private func path(_ kind: FileDescription.Kind) throws -> String {
    store + "/" + (try #require(try files(kind).last)).path
  }

  private func section(_ title: String, _ inspection: Inspection) -> [[String]] {
    inspection.sections.first { $0.title == title }?.rows ?? []
  }

  private func failure(_ body: () throws(StoreError) -> Void) -> StoreError? {
    do throws(StoreError) { try body() } catch { return error }
    return nil
  }

  private func refusal(of path: String) -> StoreError? {
    failure { () throws(StoreError) in _ = try inspect(file: path) }
  }

  private func absence(at path: String) -> StoreError? {
    failure { () throws(StoreError) in _ = try inventory(at: path) }
  }

  @Test("the inventory names every file once, with its size, and what the store consists of")
  func wholeInventory() throws {
    let listed = try inventory(at: store)
    let found = try FileManager.default.subpathsOfDirectory(atPath: store).filter {
      var isDirectory: ObjCBool = false
      _ = FileManager.default.fileExists(atPath: store + "/" + $0, isDirectory: &isDirectory)
      return !isDirectory.boolValue
    }
    #expect(listed.map(\.path) == found.sorted())
    for file in listed {
      let bytes = try Data(contentsOf: URL(fileURLWithPath: store + "/" + file.path))
      #expect(file.byteCount == UInt64(bytes.count), "\(file.path)")
    }
    #expect(try files(.manifest).count == 1)
    #expect(try files(.table).count == 1)
    #expect(try !files(.log).isEmpty)
  }

  @Test("what is no part of the store is listed as unreferenced, wherever it lies")
  func strays() throws {
    let before = try inventory(at: store)
    let strays = [
      "MANIFEST-000000", "log/000000.tlog", "log/stray", "shards/0000/009999.tsst",
      "shards/stray", "stray",
    ]
    for stray in strays { try Data([1, 2]).write(to: URL(fileURLWithPath: "\(store)/\(stray)")) }
    try FileManager.default.createDirectory(
      atPath: store + "/jobs", withIntermediateDirectories: false)
    let after = try inventory(at: store)
    #expect(after.filter { $0.isReferenced } == before.filter { $0.isReferenced })
    let unreferenced = Set(after.filter { !$0.isReferenced }.map(\.path))
    #expect(unreferenced.isSuperset(of: strays))
  }

  @Test("looking changes no byte and makes no file")
  func readOnly() throws {
    func state() throws -> [String: Data] {
      var state: [String: Data] = [:]
      for file in try inventory(at: store) {
        state[file.path] = try Data(contentsOf: URL(fileURLWithPath: store + "/" + file.path))
      }
      return state
    }
    let before = try state()
    for kind in [FileDescription.Kind.table, .log, .manifest] {
      #expect(try inspect(file: path(kind), options: everything).damage.isEmpty)
    }
    #expect(try state() == before)
  }

  @Test("a table shows its counts, blocks, entries and range tombstones")
  func table() throws {
    let found = try inspect(file: path(.table), options: everything)
    #expect(found.kind == "table")
    let properties = Dictionary(uniqueKeysWithValues: found.properties.map { ($0.name, $0.value) })
    let blocks = section("blocks", found)
    #expect(properties["data blocks"] == "\(blocks.count)")
    #expect(blocks.count > 1)
    let entries = section("entries", found)
    #expect(properties["entries"] == "\(entries.count)")
    #expect(entries.contains { $0[1] == "value" && $0[2...] == ["key19", "value 9"] })
    for section in found.sections {
      #expect(section.rows.allSatisfy { $0.count == section.columns.count }, "\(section.title)")
    }
    let brief = try inspect(file: path(.table))
    #expect(brief.sections.isEmpty)
    #expect(brief.properties.count == found.properties.count)
  }

  @Test("a table of a compaction shows what it replaces")
  func replacement() throws {
    let flushed = try path(.table)
    #expect(
      try inspect(file: flushed).properties.allSatisfy { !["group", "replaces"].contains($0.name) })
    let opened = try Store.Blocking.open(at: store)
    try opened.blocking.put("key15", "new")
    try opened.blocking.flush()
    let inputs = try files(.table).map { Int($0.path.dropLast(5).suffix(6)) }
    try opened.blocking.compact()
    try opened.blocking.close()
    let found = try inspect(file: path(.table))
    let properties = Dictionary(uniqueKeysWithValues: found.properties.map { ($0.name, $0.value) })
    let number = try #require(properties["table"])
    #expect(properties["group"] == "table 1, the last, of the compaction that began with \(number)")
    #expect(
      properties["replaces"]
        == inputs.compactMap { $0 }.sorted().map { "\($0)" }
        .joined(separator: " "))
    #expect(properties["gone"] == "none")
  }

  @Test("a log segment shows its frames and entries, escaped and cut")
  func log() throws {
    let segments = try files(.log).map {
      try inspect(file: store + "/" + $0.path, options: everything)
    }
    #expect(segments.allSatisfy { $0.kind == "log segment" && $0.damage.isEmpty })
    let entries = segments.flatMap { section("entries", $0) }
    #expect(entries.contains { $0[3...] == ["late", "\\x00\\\\\\xff"] })
    let long = entries.first { $0[3] == "long" }
    #expect(long?[4] == String(repeating: "x", count: 64) + "… (100 bytes)")
  }

  @Test("a manifest shows its edits and the tables that are left")
  func manifest() throws {
    let found = try inspect(file: path(.manifest), options: everything)
    #expect(found.kind == "manifest")
    #expect(section("tables", found).count == 1)
    #expect(section("edits", found).first?[3] == "whole state")
  }

  @Test("no changed byte goes unnoticed", arguments: [FileDescription.Kind.table, .log, .manifest])
  func flips(kind: FileDescription.Kind) throws {
    let original = [UInt8](try Data(contentsOf: URL(fileURLWithPath: try path(kind))))
    let copy = scratch.file("copy")
    // A manifest holds its slots in the open: the step keeps the test short.
    let step = original.count > 4000 ? 7 : 1
    for offset in stride(from: 0, to: original.count, by: step) {
      var bytes = original
      bytes[offset] ^= 0x41
      try Data(bytes).write(to: URL(fileURLWithPath: copy))
      var isNoticed = false
      let thrown = failure { () throws(StoreError) in
        let found = try inspect(file: copy, options: everything)
        isNoticed = !found.damage.isEmpty
        // A bad last record of a manifest is a torn one.
        for property in found.properties where property.name == "torn bytes at the end" {
          if property.value != "0" { isNoticed = true }
        }
      }
      switch thrown {
      case nil: #expect(isNoticed, "\(kind) at \(offset)")
      case .invalidArgument: #expect(offset < 8, "\(kind) at \(offset)")
      case let other?: Issue.record("\(kind) at \(offset): \(other)")
      }
    }
  }

  @Test(
    "a file that was cut anywhere is looked into without a trap",
    arguments: [FileDescription.Kind.table, .log, .manifest])
  func cuts(kind: FileDescription.Kind) throws {
    let original = [UInt8](try Data(contentsOf: URL(fileURLWithPath: try path(kind))))
    let copy = scratch.file("copy")
    let step = original.count > 4000 ? 7 : 1
    for length in stride(from: 0, to: original.count, by: step) {
      try Data(original[..<length]).write(to: URL(fileURLWithPath: copy))
      let thrown = failure { () throws(StoreError) in
        let found = try inspect(file: copy, options: everything)
        if kind == .table { #expect(!found.damage.isEmpty, "cut at \(length)") }
      }
      if length < 8 {
        guard case .invalidArgument = thrown else {
          Issue.record("cut at \(length): \(String(describing: thrown))")
          continue
        }
      } else {
        #expect(thrown == nil, "\(kind) cut at \(length)")
      }
    }
  }

  @Test("behind a bad or a zeroed frame the next good ones are found")
  func searchGoesOn() throws {
    let original = [UInt8](try Data(contentsOf: URL(fileURLWithPath: try path(.log))))
    let whole = section("frames", try inspect(file: path(.log), options: everything))
    #expect(whole.count > 3)
    let offset = try #require(Int(whole[1][0]))
    let count = try #require(Int(whole[1][1]))
    for isZeroed in [false, true] {
      var bytes = original
      if isZeroed {
        for index in offset..<(offset + count) { bytes[index] = 0 }
      } else {
        bytes[offset + 20] ^= 0xff
      }
      let copy = scratch.file("copy")
      try Data(bytes).write(to: URL(fileURLWithPath: copy))
      let found = try inspect(file: copy, options: everything)
      #expect(found.damage.map(\.offset) == [UInt64(offset)], "zeroed: \(isZeroed)")
      #expect(found.damage.first?.file == copy)
      let mark = ["\(offset)", "\(count)", "no frame", "", "", "", ""]
      #expect(section("frames", found) == [whole[0], mark] + whole[2...])
    }
  }

  @Test("behind a bad block the next blocks are read")
  func nextBlocks() throws {
    var bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: try path(.table))))
    let whole = section("blocks", try inspect(file: path(.table), options: everything))
    let offset = try #require(Int(whole[1][1]))
    bytes[offset] ^= 0xff
    let copy = scratch.file("copy")
    try Data(bytes).write(to: URL(fileURLWithPath: copy))
    let found = try inspect(file: copy, options: everything)
    #expect(found.damage.map(\.offset) == [UInt64(offset)])
    let mark = Array(whole[1][..<3]) + ["", "damaged", ""]
    #expect(section("blocks", found) == [whole[0], mark] + whole[2...])
  }

  @Test("a table with damaged parts shows what the others hold, and which are damaged")
  func damagedParts() throws {
    let whole = try inspect(file: path(.table), options: everything)
    let original = [UInt8](try Data(contentsOf: URL(fileURLWithPath: try path(.table))))
    let parts = section("parts", whole)
    #expect(parts.map { $0[0] } == ["filter", "range tombstones", "index", "properties"])
    #expect(section("index", whole).count == section("blocks", whole).count)
    #expect(whole.properties.contains { $0.name == "filter" && $0.value.contains("probes") })
    for (number, part) in parts.enumerated() {
      var bytes = original
      let offset = try #require(Int(part[1]))
      bytes[offset + 1] ^= 0xff
      let copy = scratch.file("copy")
      try Data(bytes).write(to: URL(fileURLWithPath: copy))
      let found = try inspect(file: copy, options: everything)
      #expect(found.damage.map(\.offset) == [UInt64(offset)], "\(part[0])")
      #expect(section("parts", found).map { $0[4] == "damaged" } == (0..<4).map { $0 == number })
      if part[0] != "index" {
        #expect(section("blocks", found) == section("blocks", whole), "\(part[0])")
        #expect(section("entries", found) == section("entries", whole), "\(part[0])")
      }
      if part[0] != "range tombstones" {
        #expect(section("range tombstones", found) == section("range tombstones", whole))
      }
    }
  }

  @Test("a manifest that is damaged behind its first edit shows the state before, and the place")
  func damagedManifest() throws {
    let whole = try inspect(file: path(.manifest), options: everything)
    let edits = section("edits", whole)
    try #require(edits.count > 2)
    var bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: try path(.manifest))))
    let offset = try #require(Int(edits[1][0]))
    bytes[offset + 25] ^= 0xff
    let copy = scratch.file("copy")
    try Data(bytes).write(to: URL(fileURLWithPath: copy))
    let found = try inspect(file: copy, options: everything)
    #expect(found.damage.map(\.offset) == [UInt64(offset)])
    #expect(section("edits", found).first == edits[0])
    #expect(section("edits", found).last?[0] == "\(offset)")
    #expect(section("edits", found).last?[6] == "the list ends here")
    #expect(found.properties.contains { $0.name == "shards" && $0.value == "1" })
    #expect(section("tables", found).isEmpty)
  }

  @Test("a file whose magic number is damaged is known by its name")
  func damagedMagic() throws {
    for (kind, name) in [
      (FileDescription.Kind.table, "000001.tsst"), (.log, "000001.tlog"),
      (.manifest, "MANIFEST-000001"),
    ] {
      var bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: try path(kind))))
      bytes[0] ^= 1
      let copy = scratch.file(name)
      try Data(bytes).write(to: URL(fileURLWithPath: copy))
      #expect(try inspect(file: copy, options: everything).damage.first?.offset == 0, "\(name)")
    }
  }

  @Test("what is no file of a store is refused by its name, and what is absent is absent")
  func refused() throws {
    let text = scratch.file("text")
    try Data("hardly a table".utf8).write(to: URL(fileURLWithPath: text))
    for place in [text, store, store + "/LOCK", "/dev/null", scratch.path + "/"] {
      guard case .invalidArgument(let said) = refusal(of: place) else {
        Issue.record("\(place) was not refused")
        continue
      }
      #expect(said.contains(place))
    }
    for place in [scratch.file("none"), text + "/below"] {
      #expect(refusal(of: place)?.exitStatus == 66, "\(place)")
      #expect(absence(at: place)?.exitStatus == 66, "\(place)")
    }
    #expect(absence(at: scratch.path)?.exitStatus == 66)
  }
}
