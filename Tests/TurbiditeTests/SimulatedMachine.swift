// SimulatedMachine — a store on a disk in memory, whose background work a seed orders.

import TurbiditeEngine
import TurbiditeSystem

@testable import Turbidite

/// Everything a store needs, from one seed.
struct SimulatedMachine {
  var fileSystem: MemoryFileSystem
  let clock = ManualClock()
  let seed: UInt64

  init(seed: UInt64, fileSystem: MemoryFileSystem = MemoryFileSystem()) {
    self.seed = seed
    self.fileSystem = fileSystem
  }

  /// Opens the store on this machine, with its own scheduler and random numbers each time.
  func open(
    _ options: Store.Options, mode: Store.Mode = .openOrCreate
  ) throws(StoreError) -> Store {
    let random = SeededRandom(seed: seed)
    let environment = EngineEnvironment(
      fileSystem: fileSystem, clock: clock, random: random,
      scheduler: SeededScheduler(random: SeededRandom(seed: seed ^ 0x5eed), clock: clock),
      threads: IOThreads(count: 1))
    return try Store.open(
      on: StoreMachine(environment: environment, processorCount: 2), name: "memory", mode: mode,
      options: options)
  }
}

/// Option sets under which the same operations must give the same answers.
enum OptionSet: String, CaseIterable, Sendable {
  case oneShardTinyBlocks
  case threeShardsTinyMemtables
  case sixtyFourShards
  case defaults
  case uncompressedWithoutFilter
  case shortLog

  var options: Store.Options {
    var options = Store.Options(shardCount: 2)
    switch self {
    case .oneShardTinyBlocks:
      options.shardCount = 1
      options.blockByteCount = 64
      options.memtableByteCount = 16 << 10
      options.tableByteCount = 8 << 10
    case .threeShardsTinyMemtables:
      options.shardCount = 3
      options.memtableByteCount = 4 << 10
      options.tableByteCount = 4 << 10
      options.maximumOpenTableCount = 8
    case .sixtyFourShards:
      options.shardCount = 64
      options.memtableByteCount = 8 << 10
    case .defaults: break
    case .uncompressedWithoutFilter:
      options.compresses = false
      options.filterBitsPerKey = 0
      options.memtableByteCount = 32 << 10
      options.memoryBudgetByteCount = 1 << 20
    case .shortLog:
      options.shardCount = 4
      options.logByteCount = 64 << 10
      options.memtableByteCount = 64 << 10
    }
    return options
  }
}

/// A number from the environment, or the default.
func environmentCount(_ name: String, default value: Int) -> Int {
  environmentValue(name).flatMap(Int.init) ?? value
}
