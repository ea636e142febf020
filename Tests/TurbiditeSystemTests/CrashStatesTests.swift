import Glibc
import Testing
import TurbiditeSimulation
import TurbiditeSystem

/// The simulated disk allows what POSIX allows, in bounds, and nothing else.
@Suite("The states after a crash")
struct CrashStatesTests {
  /// A durable file `a` of two sectors of ones.
  private func diskWithFile() throws -> (disk: SimulatedDisk, file: any File) {
    let disk = SimulatedDisk()
    let file = try disk.open("a", .create)
    try file.write([UInt8](repeating: 1, count: 1024), at: 0)
    try file.sync()
    try disk.syncDirectory("")
    return (disk, file)
  }

  private func states(
    _ disk: SimulatedDisk, _ model: CrashModel = .posix
  ) -> [SimulatedDisk] {
    var hashes: Set<UInt64> = []
    return disk.crashSurvivors(model).map { disk.crashed(.these($0)) }.filter {
      hashes.insert($0.durableHash).inserted
    }
  }

  @Test("of a write over two sectors each may survive without the other")
  func tornWrite() throws {
    let (disk, file) = try diskWithFile()
    try file.write([UInt8](repeating: 2, count: 1024), at: 0)
    let found = Set(states(disk).compactMap { $0.contents("a").map { [$0[0], $0[512]] } })
    #expect(found == [[1, 1], [1, 2], [2, 1], [2, 2]])
    #expect(states(disk).allSatisfy { $0.contents("a")?.count == 1024 })
  }

  @Test("a file may have grown without its bytes: zeros, or old bytes of the disk")
  func grownFile() throws {
    let (disk, file) = try diskWithFile()
    try file.write([UInt8](repeating: 2, count: 512), at: 1024)
    let tails = Set(states(disk).compactMap { $0.contents("a").map { Array($0[1024...]) } })
    #expect(tails.contains([]))
    #expect(tails.contains([UInt8](repeating: 2, count: 512)))
    #expect(tails.contains([UInt8](repeating: 0, count: 512)))
    #expect(tails.count == 4, "and one of old bytes")
    let ordered = Set(states(disk, .ext4Ordered).compactMap { $0.contents("a")?.count })
    #expect(ordered == [1024, 1536])
  }

  @Test("room that was taken ahead shows zeros or old bytes until it is synced")
  func preallocated() throws {
    let (disk, file) = try diskWithFile()
    try file.preallocate(through: 4096)
    func tails() -> Set<[UInt8]> {
      Set(states(disk).compactMap { $0.contents("a").map { Array($0[1024...]) } })
    }
    let zeros = [UInt8](repeating: 0, count: 3072)
    #expect(tails() == [[], zeros, [UInt8](repeating: 0xDB, count: 3072)])

    // What was written behind the durable end keeps its sector, and the others stay open.
    try file.write([2], at: 1024)
    let stale = tails().filter { $0.count == 3072 && $0[2048] == 0xDB }
    #expect(Set(stale.map { [$0[0], $0[1], $0[512]] }) == [[2, 0, 0xDB], [0xDB, 0xDB, 0xDB]])

    try file.sync()
    #expect(tails() == [[2] + zeros.dropFirst()])
  }

  @Test("a later append may survive an earlier one, in sectors of their own")
  func reorderedAppends() throws {
    let (disk, file) = try diskWithFile()
    try file.write([UInt8](repeating: 2, count: 512), at: 1024)
    try file.write([UInt8](repeating: 3, count: 512), at: 1536)
    let found = Set(
      states(disk).compactMap { disk -> [UInt8]? in
        guard let bytes = disk.contents("a"), bytes.count == 2048 else { return nil }
        return [bytes[1024], bytes[1536]]
      })
    #expect(found.isSuperset(of: [[0, 3], [2, 3], [2, 0]]))
  }

  @Test("names survive in any combination, but those of one name in order")
  func names() throws {
    let disk = SimulatedDisk()
    for name in ["a", "b", "c"] { try disk.open(name, .create).sync() }
    try disk.rename("a", to: "d")
    let found = Set(try states(disk).map { try $0.list("") })
    #expect(found.isSuperset(of: [[], ["b"], ["c"], ["b", "c"], ["a"], ["d"], ["b", "c", "d"]]))
    #expect(found.allSatisfy { !($0.contains("a") && $0.contains("d")) })
    // A journal keeps their order.
    let ordered = Set(try states(disk, .ext4Ordered).map { try $0.list("") })
    #expect(ordered.isSubset(of: [["a", "b", "c"], ["b", "c", "d"], ["a", "b"], ["a"], []]))
  }

  @Test("after a crash of the process alone everything is there")
  func processCrash() throws {
    let (disk, file) = try diskWithFile()
    try file.write([5], at: 0)
    try disk.open("b", .create).write([6], at: 0)
    let found = states(disk, .processCrash)
    #expect(found.count == 1)
    #expect(found.first?.contents("b") == [6])
    #expect(found.first?.contents("a")?.first == 5)
  }

  @Test("a sync fails in five ways", arguments: SyncFailure.allCases)
  func failedSync(_ failure: SyncFailure) throws {
    let (disk, file) = try diskWithFile()
    try file.write([2], at: 0)
    disk.faultPlan = { operation, _ in
      operation.systemName == "fdatasync" ? .syncFailure(failure) : nil
    }
    let isTold = code { try file.sync() } == EIO
    disk.faultPlan = nil
    let cache = disk.contents("a")?.first
    let durable = disk.crashed(.nothingUnsynced).contents("a")?.first
    let nextSync = code { try file.sync() }
    let durableAfterNext = disk.crashed(.nothingUnsynced).contents("a")?.first
    switch failure {
    case .pagesLookClean:
      #expect(isTold)
      // A sync that succeeds after one that failed proves nothing.
      #expect((cache, durable, nextSync, durableAfterNext) == (2, 1, nil, 1))
    case .pagesRevert: #expect(isTold && (cache, durable, nextSync) == (1, 1, nil))
    case .dataArrived: #expect(isTold && (cache, durable, nextSync) == (2, 2, nil))
    case .reportedElsewhere: #expect(!isTold && (cache, durable, nextSync) == (2, 1, nil))
    case .reportedLater: #expect(!isTold && (cache, durable, nextSync) == (2, 1, EIO))
    }
    // What is written again reaches the disk, with the rest of its sector.
    try file.write([3], at: 1)
    try file.sync()
    #expect(disk.crashed(.nothingUnsynced).contents("a")?[1] == 3)
  }

  @Test("a write may arrive in part, and handles may run out")
  func partialWritesAndHandles() throws {
    let (disk, file) = try diskWithFile()
    disk.faultPlan = { operation, _ in
      operation.systemName == "pwrite" ? .partialWrite(byteCount: 3, ENOSPC) : nil
    }
    #expect(code { try file.write([7, 7, 7, 7, 7], at: 0) } == ENOSPC)
    disk.faultPlan = nil
    #expect(Array(disk.contents("a")?.prefix(5) ?? []) == [7, 7, 7, 1, 1])

    #expect(disk.openFileCount == 1)
    disk.setOpenFileLimit(2)
    let second = try disk.open("a", .read)
    #expect(code { _ = try disk.open("a", .read) } == EMFILE)
    disk.setOpenFileLimit(nil)
    _ = try disk.open("a", .read)
    #expect(second.path == "a")
  }
}
