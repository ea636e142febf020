// SimulatedMachine — a store on a machine that fails on request.
//
// Room:    Simulation.
// Source:  Deterministic simulation as in FoundationDB (Zhou et al., SIGMOD 2021, section 4).

public import Turbidite
package import TurbiditeEngine
import TurbiditeSystem

/// A machine of one processor, one disk and one clock, on which a store runs as it does on a real
/// one, but the same way each time: background work runs between the calls of one thread, in an
/// order drawn from the seed.
///
/// ```swift
/// let machine = SimulatedMachine(seed: 1)
/// let store = try machine.open(Store.Options(shardCount: 2))
/// try store.blocking.put("ledger/1", "10", durability: .synced)
/// for survivors in machine.disk.crashSurvivors() {
///   let after = machine.crashed(.these(survivors))
///   let found = try after.open()
///   let value = try found.blocking.get("ledger/1")
///   precondition(value == "10")
/// }
/// ```
///
/// Use the store's ``Turbidite/Store/blocking`` verbs, from one thread: others work, but the order
/// is then no longer the seed's.
public struct SimulatedMachine: Sendable {
  /// The disk, with the store in its root.
  public let disk: SimulatedDisk
  /// The clock: it moves when told to, and when the store waits.
  public let clock: SimulatedClock
  /// What orders background work and stands for chance.
  public let seed: UInt64
  private let rarePaths: RarePaths

  /// A machine with an empty disk, or with `disk`.
  ///
  /// - Parameter rarePathOdds: of the turns that a store seldom takes, such as the change to a new
  ///   manifest, it takes one in so many whenever it comes by; nil leaves it to need. Counts in
  ///   builds with `TURBIDITE_RARE_PATHS` only, as debug builds are.
  public init(seed: UInt64, disk: SimulatedDisk = SimulatedDisk(), rarePathOdds: Int? = nil) {
    self.seed = seed
    self.disk = disk
    clock = SimulatedClock()
    rarePaths =
      rarePathOdds.map { RarePaths(random: SeededRandom(seed: seed ^ 0x4A4E), odds: $0) } ?? .never
  }

  /// How often the store took each turn that it seldom takes, by name.
  public var rarePathCounts: [String: Int] {
    Dictionary(uniqueKeysWithValues: rarePaths.takenCounts.map { ($0.key.rawValue, $0.value) })
  }

  /// Opens the store on the disk.
  ///
  /// - Throws: what ``Turbidite/Store/open(at:mode:options:)`` throws.
  public func open(
    _ options: Store.Options = Store.Options(), mode: Store.Mode = .openOrCreate
  ) throws(StoreError) -> Store {
    let random = SeededRandom(seed: seed)
    var environment = EngineEnvironment(
      fileSystem: disk, clock: clock, random: random,
      scheduler: SeededScheduler(random: SeededRandom(seed: seed ^ 0x5EED), clock: clock),
      threads: IOThreads(count: 1))
    environment.rarePaths = rarePaths
    return try Store.open(
      on: StoreMachine(environment: environment, processorCount: 2), name: "simulated",
      mode: mode, options: options)
  }

  /// What is to be said of the store's files: see ``Turbidite/verify(storeAt:deep:_:)``.
  ///
  /// No crash damages a store, so that a ``Turbidite/Verification/Finding/Severity/damage`` here is
  /// a bug of the store, unless the test damaged the disk.
  public func verify(deep: Bool = true) throws(StoreError) -> [Verification.Finding] {
    var findings: [Verification.Finding] = []
    _ = try Turbidite.verify(disk, name: "simulated", deep: deep) { event throws(StoreError) in
      if case .finding(let finding) = event { findings.append(finding) }
    }
    return findings
  }

  /// The machine after a crash at this moment; this one goes on unharmed.
  ///
  /// - Parameter seed: that of the machine after the crash; the same one when nil.
  public func crashed(_ survival: Survival, seed: UInt64? = nil) -> SimulatedMachine {
    SimulatedMachine(seed: seed ?? self.seed, disk: disk.crashed(survival))
  }
}
