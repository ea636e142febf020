import Glibc
import Synchronization
import Testing
import TurbiditeSimulation
import TurbiditeSystem

@Suite("The simulated disk")
struct SimulatedDiskTests {
  @Test("After a loss of power exactly the synced bytes under synced names are there")
  func nothingUnsynced() throws {
    let disk = SimulatedDisk()
    let file = try disk.open("a", .create)
    try file.write([1, 2, 3], at: 0)
    try file.sync()
    #expect(try disk.crashed(.nothingUnsynced).list("") == [])
    try disk.syncDirectory("")
    try file.write([9, 9], at: 2)
    #expect(disk.crashed(.nothingUnsynced).contents("a") == [1, 2, 3])
    #expect(disk.crashed(.processKill).contents("a") == [1, 2, 9, 9])
    try file.sync()
    #expect(disk.crashed(.nothingUnsynced).contents("a") == [1, 2, 9, 9])

    try disk.rename("a", to: "b")
    #expect(try disk.crashed(.nothingUnsynced).list("") == ["a"])
    try disk.syncDirectory("")
    try disk.remove("b")
    #expect(try disk.crashed(.nothingUnsynced).list("") == ["b"])
    try disk.syncDirectory("")
    #expect(try disk.crashed(.nothingUnsynced).list("") == [])
  }

  @Test("A directory whose name was not synced takes its files with it")
  func directories() throws {
    let disk = SimulatedDisk()
    try disk.createDirectory("d")
    try disk.open("d/a", .create).sync()
    try disk.syncDirectory("d")
    #expect(try disk.crashed(.nothingUnsynced).list("") == [])
    try disk.syncDirectory("")
    #expect(try disk.crashed(.nothingUnsynced).list("d") == ["a"])
  }

  @Test("What a killed process did not sync, a later loss of power still takes")
  func killThenPowerLoss() throws {
    let disk = SimulatedDisk()
    try disk.open("a", .create).write([1], at: 0)
    let killed = disk.crashed(.processKill)
    #expect(killed.contents("a") == [1])
    #expect(try killed.crashed(.nothingUnsynced).list("") == [])
  }

  @Test("A rename survives whole or not at all, and a name is never without a file")
  func renameIsAtomic() throws {
    let disk = SimulatedDisk()
    try disk.createDirectory("d")
    try disk.setContents("old", [1])
    try disk.setContents("d/new", [2])
    try disk.syncDirectory("")
    try disk.syncDirectory("d")
    try disk.rename("old", to: "d/new")
    var seen: Set<[String]> = []
    for seed in 0..<64 {
      let after = disk.crashed(.random(UInt64(seed)))
      let state = ["old", "d/new"].map { after.contents($0).map { "\($0)" } ?? "none" }
      seen.insert(state)
    }
    #expect(seen == [["[1]", "[2]"], ["none", "[1]"]])
    // The sync of either directory is enough.
    for directory in ["", "d"] {
      let copy = disk.crashed(.processKill)
      try copy.syncDirectory(directory)
      #expect(copy.crashed(.nothingUnsynced).contents("d/new") == [1])
      #expect(try copy.crashed(.nothingUnsynced).list("") == ["d"])
    }
  }

  @Test("Changes of one name survive as a prefix; those of two names in any combination")
  func namesInOrder() throws {
    let disk = SimulatedDisk()
    _ = try disk.open("a", .create)
    try disk.rename("a", to: "b")
    _ = try disk.open("c", .create)
    var seen: Set<[String]> = []
    for seed in 0..<200 { seen.insert(try disk.crashed(.random(UInt64(seed))).list("")) }
    #expect(seen == [[], ["a"], ["b"], ["c"], ["a", "c"], ["b", "c"]])
  }

  @Test("A directory that is renamed keeps what it holds, and survives whole or not at all")
  func directoryRename() throws {
    let disk = SimulatedDisk()
    try disk.createDirectory("new")
    try disk.open("new/a", .create).sync()
    try disk.syncDirectory("new")
    try disk.renameDirectory("new", to: "done")
    #expect(try disk.list("done") == ["a"])
    #expect(try disk.crashed(.nothingUnsynced).list("") == [])
    var seen: Set<[String]> = []
    for seed in 0..<200 {
      let after = disk.crashed(.random(UInt64(seed)))
      let names = try after.list("")
      seen.insert(names)
      if names == ["done"] { #expect(try after.list("done") == ["a"]) }
    }
    #expect(seen == [[], ["new"], ["done"]])
    try disk.syncDirectory("")
    #expect(try disk.crashed(.nothingUnsynced).list("done") == ["a"])
    #expect(code { try disk.removeDirectory("done") } == ENOTEMPTY)
    try disk.remove("done/a")
    try disk.removeDirectory("done")
    #expect(try disk.crashed(.nothingUnsynced).list("done") == ["a"])
  }

  @Test("A file with two names loses one by a crash, and is whole under the other")
  func linkSurvives() throws {
    let disk = SimulatedDisk()
    let file = try disk.open("a", .create)
    try file.write([1, 2], at: 0)
    try file.sync()
    try disk.syncDirectory("")
    try disk.createDirectory("d")
    try disk.syncDirectory("")
    try disk.link("a", to: "d/b", in: disk)
    #expect(try disk.crashed(.nothingUnsynced).list("d") == [])
    try disk.syncDirectory("d")
    try disk.remove("a")
    try disk.syncDirectory("")
    let after = disk.crashed(.nothingUnsynced)
    #expect(try after.list("") == ["d"])
    #expect(after.contents("d/b") == [1, 2])
  }

  @Test("A file that was renamed twice has exactly one name after a crash")
  func oneName() throws {
    let disk = SimulatedDisk()
    try disk.setContents("a", [1])
    try disk.rename("a", to: "b")
    try disk.rename("b", to: "c")
    var seen: Set<[String]> = []
    for seed in 0..<200 { seen.insert(try disk.crashed(.random(UInt64(seed))).list("")) }
    #expect(seen == [["a"], ["b"], ["c"]])
  }

  @Test("A synced change brings the earlier changes of its names along")
  func syncInOrder() throws {
    let disk = SimulatedDisk()
    try disk.createDirectory("d")
    try disk.syncDirectory("")
    _ = try disk.open("d/x", .create)
    try disk.rename("d/x", to: "y")
    try disk.syncDirectory("")
    for seed in 0..<50 {
      #expect(try disk.crashed(.random(UInt64(seed))).list("d") == [])
    }
    try disk.syncDirectory("d")
    let after = disk.crashed(.nothingUnsynced)
    #expect(try after.list("d") == [])
    #expect(try after.list("") == ["d", "y"])
  }

  @Test("Each sector after a crash is as it was at some moment since the sync", arguments: 0..<8)
  func sectors(seed: UInt64) throws {
    let random = SeededRandom(seed: seed)
    let disk = SimulatedDisk()
    let file = try disk.open("a", .create)
    try disk.syncDirectory("")
    try file.write(random.bytes(3000), at: 0)
    try file.sync()
    var versions = [padded(try file.allBytes())]
    var sizes = [3000]
    for _ in 0..<5 {
      if random.isOne(in: 4) {
        try file.truncate(to: UInt64(random.below(9000)))
      } else {
        try file.write(random.bytes(1 + random.below(3000)), at: UInt64(random.below(6000)))
      }
      versions.append(padded(try file.allBytes()))
      sizes.append(Int(try file.size()))
    }
    var outcomes: Set<[UInt8]> = []
    for crash in 0..<100 {
      let survivors = Survivors(
        names: .all, content: .drawn(UInt64(crash)),
        tear: crash % 2 == 0 ? .drawn(UInt64(crash)) : nil)
      let after = try #require(disk.crashed(.these(survivors)).contents("a"))
      outcomes.insert(after)
      #expect(after.count >= sizes.min()!, "seed \(seed), crash \(crash)")
      #expect(after.count <= sizes.max()!, "seed \(seed), crash \(crash)")
      for start in stride(from: 0, to: after.count, by: 512) {
        let end = min(start + 512, after.count)
        let isKnown = versions.contains { $0[start..<end] == after[start..<end] }
        #expect(isKnown, "seed \(seed), crash \(crash), sector at \(start)")
      }
    }
    #expect(outcomes.count > 10)
    #expect(disk.crashed(.random(7)).contents("a") == disk.crashed(.random(7)).contents("a"))
  }

  private func padded(_ bytes: [UInt8]) -> [UInt8] {
    bytes + [UInt8](repeating: 0, count: 10_000 - bytes.count)
  }

  @Test("A removed file is readable as long as it is open, and its space is used as long")
  func removedFile() throws {
    let disk = SimulatedDisk()
    disk.setSpaceLimit(100)
    var file: (any File)? = try disk.open("a", .create)
    try file?.write([UInt8](repeating: 7, count: 100), at: 0)
    try disk.remove("a")
    try disk.syncDirectory("")
    #expect(try file?.bytes(at: 98, 9) == [7, 7])
    let other = try disk.open("b", .create)
    #expect(code { try other.write([1], at: 0) } == ENOSPC)
    file = nil
    try other.write([1], at: 0)
  }

  @Test("A full disk takes what fits, then refuses; what is there may be overwritten")
  func fullDisk() throws {
    let disk = SimulatedDisk()
    disk.setSpaceLimit(10)
    let file = try disk.open("a", .create)
    #expect(code { try file.write([UInt8](repeating: 1, count: 15), at: 0) } == ENOSPC)
    #expect(try file.size() == 10)
    try file.write([2, 2], at: 8)
    #expect(code { try file.preallocate(through: 11) } == ENOSPC)
    disk.setSpaceLimit(nil)
    try file.preallocate(through: 11)
    #expect(try file.allBytes() == [1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 0])
  }

  @Test("Locks go with the open file, and none is left after a crash")
  func locks() throws {
    let disk = SimulatedDisk()
    var first: (any File)? = try disk.open("a", .create)
    let second = try disk.open("a", .readWrite)
    #expect(try first?.tryLock(.exclusive, from: 0, to: 1) == true)
    #expect(try second.tryLock(.shared, from: 0, to: 1) == false)
    #expect(
      try disk.crashed(.processKill).open("a", .read).isLockedElsewhere(from: 0, to: 9) == false)
    first = nil
    #expect(try second.tryLock(.shared, from: 0, to: 1))
  }

  @Test("The hook sees each operation before it happens, and may refuse it")
  func hook() throws {
    let disk = SimulatedDisk()
    let seen = Mutex<[FileOperation]>([])
    let sizes = Mutex<[Int]>([])
    disk.beforeOperation = { [unowned disk] operation, index throws(SystemError) in
      seen.withLock { $0.append(operation) }
      sizes.withLock { $0.append(disk.crashed(.processKill).contents("a")?.count ?? -1) }
      if index == 2 { throw SystemError(operation: "fdatasync", path: "a", code: EIO) }
    }
    let file = try disk.open("a", .create)
    try file.write([1, 2], at: 0)
    #expect(code { try file.sync() } == EIO)
    try disk.syncDirectory("")
    #expect(disk.crashed(.nothingUnsynced).contents("a") == [])
    disk.beforeOperation = nil
    let kinds = seen.withLock { $0.map(\.kind) }
    #expect(kinds == [.open(.create), .write(offset: 0, count: 2), .sync, .syncDirectory])
    #expect(sizes.withLock { $0 } == [-1, 0, 2, 2])
    #expect(disk.operationCount == 4)
  }

  @Test("An open directory takes a handle, and is synced without one; the root takes none")
  func openDirectory() throws {
    let disk = SimulatedDisk()
    try disk.createDirectory("d")
    try disk.syncDirectory("")
    var directory: (any Directory)? = try disk.openDirectory("d")
    #expect(disk.openFileCount == 1)
    _ = try disk.open("d/a", .create)
    disk.setOpenFileLimit(1)
    #expect(code { _ = try disk.openDirectory("d") } == EMFILE)
    try disk.syncDirectory("")
    #expect(disk.crashed(.nothingUnsynced).contents("d/a") == nil)
    try directory?.sync()
    #expect(disk.crashed(.nothingUnsynced).contents("d/a") == [])
    directory = nil
    #expect(disk.openFileCount == 0)
  }

  @Test("The trace tells sequences apart by order, arguments and bytes, and only by these")
  func trace() throws {
    func hash(_ body: (any File, SimulatedDisk) throws -> Void) throws -> UInt64 {
      let disk = SimulatedDisk()
      try body(try disk.open("a", .create), disk)
      return disk.traceHash
    }
    let hashes = [
      try hash { file, _ in try file.write([1], at: 0) },
      try hash { file, _ in try file.write([2], at: 0) },
      try hash { file, _ in try file.write([1, 0], at: 0) },
      try hash { file, _ in try file.write([1], at: 1) },
      try hash { file, disk in
        try file.sync()
        try disk.syncDirectory("")
      },
      try hash { file, disk in
        try disk.syncDirectory("")
        try file.sync()
      },
    ]
    #expect(Set(hashes).count == hashes.count)
    #expect(try hash { file, _ in try file.write([1], at: 0) } == hashes[0])
  }

  @Test("Damage is in the cache and on the disk")
  func damage() throws {
    let disk = SimulatedDisk()
    try disk.setContents("a", [1, 2, 3])
    try disk.corrupt("a", at: 1, xor: 0xF0)
    try disk.corrupt("a", at: 10, xor: 1)
    #expect(disk.contents("a") == [1, 0xF2, 3])
    try disk.truncateDurable("a", to: 2)
    #expect(disk.crashed(.nothingUnsynced).contents("a") == [1, 0xF2])
    #expect(code { try disk.corrupt("absent", at: 0, xor: 1) } == ENOENT)
  }
}
