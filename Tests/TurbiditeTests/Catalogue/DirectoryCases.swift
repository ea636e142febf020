// DirectoryCases — docs/catalogue.md: what others may do to a store's directory.

import Foundation
import Testing
import TurbiditeSimulation
import TurbiditeSystem

@testable import Turbidite
@testable import TurbiditeEngine

/// On the real disk, because links, pipes and moved directories are its business.
@Suite("Cases of the directory")
struct DirectoryCases {
  private let place = ScratchDirectory()
  private var path: String { place.file("store") }
  private let manager = FileManager.default
  private static let options = Store.Options(shardCount: 2)

  /// A closed store with a table, a log and `marker` under the key "who".
  private func makeStore(at path: String, _ marker: String) throws {
    let store = try Store.Blocking.open(at: path, options: Self.options)
    try store.blocking.put("flushed", "1")
    try store.blocking.flush()
    try store.blocking.put("who", Bytes(marker))
    try store.blocking.close()
  }

  /// Every path below `directory` with its size.
  private func listing(_ directory: String) throws -> [String: Int] {
    var result: [String: Int] = [:]
    for case let name as String in manager.enumerator(atPath: directory) ?? .init() {
      let attributes = try manager.attributesOfItem(atPath: directory + "/" + name)
      result[name] = attributes[.size] as? Int
    }
    return result
  }

  // MARK: - 59: moved, removed, replaced, restored over

  /// All that would make files or promise durability is refused, and stays refused.
  private func expectRefusals(_ store: Store) {
    let refusals: [(Comment, () throws -> Void)] = [
      ("a synced commit", { try store.blocking.put("late", "1", durability: .synced) }),
      ("a buffered commit after it", { try store.blocking.put("late", "1") }),
      ("sync", { try store.blocking.sync() }), ("flush", { try store.blocking.flush() }),
      ("a keyspace", { _ = try store.blocking.createKeyspace("late") }),
      ("close", { try store.blocking.close() }),
    ]
    for (name, refusal) in refusals {
      let error = storeError(refusal)
      guard case .poisoned = error else {
        Issue.record("\(name): \(String(describing: error))")
        continue
      }
      #expect(error?.outcome == .no && error?.storeState == .readOnly, name)
    }
  }

  @Test("case 59: a store whose directory was moved refuses writes, and makes none in its place")
  func case59Moved() throws {
    try makeStore(at: path, "first")
    let store = try Store.Blocking.open(at: path)
    try store.blocking.put("before", "1")
    try manager.moveItem(atPath: path, toPath: path + "2")
    expectRefusals(store)
    #expect(!manager.fileExists(atPath: path))
    // It was closed all the same: the lock is free, and nothing acknowledged is lost.
    let moved = try Store.Blocking.open(at: path + "2")
    #expect(try contents(moved) == ["flushed": "1", "who": "first", "before": "1"])
    try moved.blocking.close()
  }

  @Test("case 59: a store whose directory was removed refuses writes, and makes none in its place")
  func case59Removed() throws {
    try makeStore(at: path, "first")
    let store = try Store.Blocking.open(at: path)
    try store.blocking.put("before", "1")
    // Not while the store removes files of its own.
    store.engine.waitUntilIdle()
    try manager.removeItem(atPath: path)
    expectRefusals(store)
    #expect(!manager.fileExists(atPath: path))
  }

  @Test("case 59: a store that was replaced by another one leaves that one alone")
  func case59Replaced() throws {
    try makeStore(at: path, "first")
    try makeStore(at: path + "2", "second")
    let store = try Store.Blocking.open(at: path)
    try store.blocking.put("before", "1")
    try manager.moveItem(atPath: path, toPath: path + "1")
    try manager.moveItem(atPath: path + "2", toPath: path)
    let before = try listing(path)
    expectRefusals(store)
    #expect(try listing(path) == before)
    let second = try Store.Blocking.open(at: path)
    #expect(try contents(second) == ["flushed": "1", "who": "second"])
    try second.blocking.close()
  }

  @Test("case 59: a store whose files were restored over leaves what was restored alone")
  func case59RestoredOver() throws {
    try makeStore(at: path, "first")
    try manager.copyItem(atPath: path, toPath: path + ".backup")
    let store = try Store.Blocking.open(at: path)
    try store.blocking.put("before", "1")
    store.engine.waitUntilIdle()
    // The directory stays the same one; what is in it does not.
    for name in try manager.contentsOfDirectory(atPath: path) {
      try manager.removeItem(atPath: path + "/" + name)
    }
    for name in try manager.contentsOfDirectory(atPath: path + ".backup") {
      try manager.moveItem(atPath: path + ".backup/" + name, toPath: path + "/" + name)
    }
    let before = try listing(path)
    expectRefusals(store)
    #expect(try listing(path) == before)
    let restored = try Store.Blocking.open(at: path)
    #expect(try contents(restored) == ["flushed": "1", "who": "first"])
    try restored.blocking.close()
  }

  // MARK: - 20, 37, 43, 54, 60

  @Test("case 20: numbers of files that the manifest does not know are not given again")
  func case20() throws {
    let machine = SimulatedMachine(seed: 20)
    var store = try machine.open(Self.options)
    try store.blocking.put("key", "1")
    try store.blocking.close()
    for (index, path) in ["shards/0000/000777.tsst", "log/000888.tlog.new", "MANIFEST-000999.new"]
      .enumerated()
    {
      try machine.disk.setContents(path, [1, 2, 3])
      store = try machine.open(Self.options)
      try store.blocking.put("key", Bytes("\(index)"))
      try store.blocking.flush()
      let manifest = try #require(try machine.disk.list("").last { $0.hasPrefix("MANIFEST") })
      let number = try #require(Int(manifest.dropFirst("MANIFEST-".count)))
      if index != 1 { #expect(number > [777, 888, 999][index]) }
      // Segments are counted by themselves.
      let segment = try #require(try machine.disk.list("log").last)
      if index > 0 { #expect(try #require(Int(segment.prefix(6))) > 888) }
      try store.blocking.close()
      #expect(machine.disk.contents(path) == nil, "what nobody needs was removed")
    }
    store = try machine.open(Self.options)
    #expect(try contents(store) == ["key": "2"])
    try store.blocking.close()
  }

  @Test("case 37: empty files, directories for files, and files for directories are refused")
  func case37() throws {
    try makeStore(at: path, "first")
    // Nothing of the store is in these two.
    let files = try listing(path).keys.filter { $0 != "LOCK" && $0 != "RESERVE" }.sorted()
    for file in files {
      for variant in 0..<3 {
        let copy = path + "-copy"
        try manager.copyItem(atPath: path, toPath: copy)
        defer { #expect(throws: Never.self) { try manager.removeItem(atPath: copy) } }
        let isDirectory = !file.contains(".") && !file.hasPrefix("MANIFEST")
        try manager.removeItem(atPath: copy + "/" + file)
        switch variant {
        case 0: break
        case 1: try Data().write(to: URL(fileURLWithPath: copy + "/" + file))
        default:
          guard !isDirectory else { continue }
          try manager.createDirectory(
            atPath: copy + "/" + file, withIntermediateDirectories: false)
        }
        for mode in [Store.Mode.readOnly, .existing] {
          let error = storeError {
            let store = try Store.Blocking.open(at: copy, mode: mode)
            defer { store.engine.abandon() }
            let found = try contents(store)
            #expect(found == ["flushed": "1", "who": "first"])
          }
          // An empty shard's directory is missed by nobody but the one who opens for writing.
          let isNeeded = !file.hasPrefix("shards/") || file.hasSuffix(".tsst")
          if isNeeded { #expect(error != nil, "\(file), variant \(variant), \(mode)") }
          if let error {
            #expect([66, 74, 76].contains(error.exitStatus), "\(file): \(error)")
          }
        }
      }
    }
  }

  @Test("case 43: a store is locked under any of its paths")
  func case43() throws {
    try makeStore(at: path, "first")
    try manager.createSymbolicLink(atPath: place.file("link"), withDestinationPath: path)
    let store = try Store.Blocking.open(at: path)
    for other in [path, path + "/", path + "/.", path + "/log/..", place.file("link")] {
      let error = storeError { _ = try Store.Blocking.open(at: other) }
      guard case .locked = error else {
        Issue.record("\(other): \(String(describing: error))")
        continue
      }
    }
    try store.blocking.close()
    let linked = try Store.Blocking.open(at: place.file("link"))
    guard case .locked = storeError({ _ = try Store.Blocking.open(at: path) }) else {
      Issue.record("not locked under the link")
      return
    }
    try linked.blocking.put("through", "link", durability: .synced)
    try linked.blocking.close()
  }

  @Test("case 54: links and pipes for a store's files are refused, and lead nowhere")
  func case54() throws {
    try makeStore(at: path, "first")
    let outside = place.file("outside")
    try manager.copyItem(atPath: path, toPath: outside)
    let before = try listing(outside)
    let manifest = try #require(
      try manager.contentsOfDirectory(atPath: path).first { $0.hasPrefix("MANIFEST") })
    let files = ["LOCK", manifest, "log", "shards", "shards/0000", "shards/0001"]
    let nested = try listing(path).keys.filter { $0.hasSuffix(".tlog") || $0.hasSuffix(".tsst") }
    #expect(nested.count >= 2)
    for file in files + nested.sorted() {
      for isLink in [true, false] {
        let copy = path + "-copy"
        try manager.copyItem(atPath: path, toPath: copy)
        defer { #expect(throws: Never.self) { try manager.removeItem(atPath: copy) } }
        try manager.removeItem(atPath: copy + "/" + file)
        if isLink {
          // To a whole file or directory of the right name: only the link itself is wrong.
          try manager.createSymbolicLink(
            atPath: copy + "/" + file, withDestinationPath: outside + "/" + file)
        } else {
          #expect(mkfifo(copy + "/" + file, 0o600) == 0)
        }
        for mode in [Store.Mode.readOnly, .existing] {
          let error = storeError {
            let store = try Store.Blocking.open(at: copy, mode: mode)
            defer { store.engine.abandon() }
            // A table is opened when it is read.
            _ = try contents(store)
          }
          #expect(error != nil, "\(file), link \(isLink), \(mode)")
          if let error {
            #expect([66, 74, 76].contains(error.exitStatus), "\(file): \(error)")
          }
        }
      }
    }
    #expect(try listing(outside) == before)
  }

  @Test("case 54: what bears a strange name, or the name of a leftover, stops nobody")
  func case54Strays() throws {
    try makeStore(at: path, "first")
    let secret = place.file("secret")
    try Data("secret".utf8).write(to: URL(fileURLWithPath: secret))
    for name in [
      "\u{1b}[2J", "..hidden", "MANIFEST-", "MANIFEST-1", "MANIFEST-000001x", "log/1.tlog",
      "shards/9999", String(repeating: "n", count: 255), "log/a\nb", "shards/0000/-rf",
    ] {
      try Data("x".utf8).write(to: URL(fileURLWithPath: path + "/" + name))
    }
    // Leftovers are removed: a link is, not what it leads to, and a directory stays.
    try manager.createSymbolicLink(
      atPath: path + "/log/000900.tlog.new", withDestinationPath: secret)
    try manager.createDirectory(
      atPath: path + "/MANIFEST-000901.new", withIntermediateDirectories: false)
    #expect(mkfifo(path + "/shards/0000/000902.tsst", 0o600) == 0)
    for mode in [Store.Mode.readOnly, .existing] {
      let store = try Store.Blocking.open(at: path, mode: mode)
      #expect(try contents(store) == ["flushed": "1", "who": "first"])
      try store.blocking.close()
    }
    #expect(try Data(contentsOf: URL(fileURLWithPath: secret)) == Data("secret".utf8))
    #expect(manager.fileExists(atPath: path + "/..hidden"))
  }

  @Test("case 60: an unknown version is refused with both versions, and nothing is changed")
  func case60() throws {
    let machine = SimulatedMachine(seed: 60)
    let store = try machine.open(Self.options)
    try store.blocking.put("flushed", "1")
    try store.blocking.flush()
    try store.blocking.put("logged", "1")
    try store.blocking.close()
    let manifest = try #require(try machine.disk.list("").last { $0.hasPrefix("MANIFEST") })
    let segment = try machine.disk.newestSegment()
    for (file, supported): (String, UInt32) in [(manifest, 1), (segment, 2)] {
      for version: UInt32 in [0, supported + 1, 1 << 24, .max] {
        let other = machine.crashed(.processKill)
        try other.disk.setFormatVersion(version, of: file)
        let hash = other.disk.durableHash
        for mode in [Store.Mode.existing, .openOrCreate, .create, .readOnly] {
          let error = storeError { _ = try other.open(mode: mode) }
          let expected: StoreError =
            mode == .create
            ? .storeExists(path: "simulated")
            : .unsupportedFormat(file: file, found: version, supported: supported)
          #expect(error == expected, "\(file), \(mode)")
        }
        #expect(other.disk.durableHash == hash)
        #expect(other.disk.openFileCount == 0)
      }
    }
  }
}
