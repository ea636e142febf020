// Simulation — a life of a store drawn from one seed: calls, failures and crashes in any order.

import Synchronization
import Turbidite
import TurbiditeSimulation

/// What the lives of many seeds amounted to.
struct SimulationFigures: Sendable {
  var seeds = 0
  var calls = 0
  var crashes = 0
  var faults = 0
  var refusals = 0
  var readings = 0
  /// How often the store took each turn that it seldom takes.
  var rarePaths: [String: Int] = [:]
  var violations: [String] = []

  var line: String {
    "\(seeds) seeds, \(calls) calls, \(faults) faults, \(refusals) calls refused, \(crashes) crashes,"
      + " \(readings) readings of everything, violations: \(violations.count)"
  }

  mutating func add(_ other: SimulationFigures) {
    seeds += other.seeds
    calls += other.calls
    crashes += other.crashes
    faults += other.faults
    refusals += other.refusals
    readings += other.readings
    violations += other.violations
    rarePaths.merge(other.rarePaths, uniquingKeysWith: +)
  }
}

/// One seed's life.
///
/// Swarm testing (Groce et al., ISSTA 2012): each seed first draws which calls and which failures it
/// has at all, so that rare combinations become common.
///
/// Unchecked: everything happens on the one thread that calls ``run(callCount:)``; the disk's plan,
/// which must be sendable, is called there too.
final class Simulation: @unchecked Sendable {
  /// What goes wrong, and when the machine stops: shared with the disk's plan.
  private struct Plan {
    var isPeace = false
    var faultOdds = 0
    var faults: [Fault] = []
    var faultCount = 0
    /// After a failed sync the cache may have lost what no one had synced.
    var syncFailed = false
    /// The machine stops before this operation that changes the disk, counted down.
    var changesToCrash: Int?
    var crash: (disk: SimulatedDisk, model: StoreModel)?
    var random: Random
  }

  private let seed: UInt64
  private var random: Random
  private let options: Store.Options
  private let steps: [Step]
  private let crashOdds: Int
  private let rarePathOdds: Int?
  /// Draws when the disk is full, and how small it is then.
  private var room: Random
  private let roomOdds: Int
  private var roomLimit: Int?
  private let client: Client
  private let plan: Mutex<Plan>
  private(set) var figures = SimulationFigures()
  /// The hash of the operations of each machine of this life.
  private(set) var traces: [UInt64] = []

  init(seed: UInt64) {
    var random = Random(seed: seed)
    var options = Workload.smallParts
    options.shardCount = [1, 2, 3, 8][random.below(4)]
    options.memtableByteCount = [4 << 10, 8 << 10, 64 << 10][random.below(3)]
    options.blockByteCount = [64, 512, 4096][random.below(3)]
    options.maximumOpenTableCount = [8, 512][random.below(2)]
    options.compresses = random.below(2) == 0
    options.filterBitsPerKey = [0, 10][random.below(2)]
    self.options = options
    var steps: [Step] = []
    for step in Self.vocabulary where random.below(3) > 0 { steps.append(step) }
    // Drawn apart: what other seeds do does not change with it.
    var streams = Random(seed: seed ^ 0x57_4EA1)
    if streams.below(3) == 0 { steps += Self.streamVocabulary }
    var resharding = Random(seed: seed ^ 0x5_11CE)
    if resharding.below(3) == 0 { steps += Self.shardVocabulary }
    self.steps = steps.isEmpty ? Self.vocabulary : steps
    crashOdds = [0, 10, 30][random.below(3)]
    var plan = Plan(random: Random(seed: seed ^ 0xFA17))
    plan.faultOdds = [0, 0, 40, 150, 600][random.below(5)]
    for fault in Self.faults where random.below(2) == 0 { plan.faults.append(fault) }
    self.plan = Mutex(plan)
    rarePathOdds = [nil, 5, 20, 100][random.below(4)]
    room = Random(seed: seed ^ 0xD15C)
    roomOdds = [0, 0, 8, 30][room.below(4)]
    client = Client(SimulatedMachine(seed: seed, rarePathOdds: rarePathOdds), options)
    self.seed = seed
    self.random = random
  }

  private static let vocabulary: [Step] = [
    .put(1), .put(2, synced: true), .put(3, byteCount: 1500), .put(4, byteCount: 300), .delete(1),
    .delete(2, synced: true), .deleteRange(0, 20), .deleteRange(10, 50), .batch(count: 8),
    .batch(count: 12, byteCount: 200), .batch(count: 6, byteCount: 300, synced: true), .flush,
    .compact, .sync, .holdSnapshot, .releaseSnapshot, .reopen, .kill,
  ]

  private static let streamVocabulary: [Step] = [
    .append(count: 1), .append(count: 6), .append(count: 3, synced: true), .appendAgain, .trim(3),
    .trim(50), .compactKeys,
  ]

  private static let shardVocabulary: [Step] = [
    .addShard([]), .addShard([.put(1), .batch(count: 5), .deleteRange(5, 15)]),
    .removeShard(0, [.delete(2), .flush, .put(5, byteCount: 700)]),
    .removeShard(1, [.batch(count: 9, synced: true), .holdSnapshot]), .removeShard(2, []),
  ]

  /// Of a sync the three failures that are reported: the others are beyond any store's promise.
  private static let faults: [Fault] =
    [5, 28, 24, 12, 13, 30, 122].map { .error($0) }
    + [.partialWrite(byteCount: 0, 28), .partialWrite(byteCount: 600, 28)]
    + [.partialWrite(byteCount: 40, 5), .partialWrite(byteCount: 1 << 20, 5)]
    + [.syncFailure(.pagesLookClean), .syncFailure(.pagesRevert), .syncFailure(.dataArrived)]

  func run(callCount: Int) -> SimulationFigures {
    figures.seeds = 1
    do {
      watch(client.machine.disk)
      try reopenInPeace()
      for _ in 0..<callCount {
        try act()
        if plan.withLock({ $0.crash != nil }) { try goOnAfterCrash() }
        if random.below(6) == 0 { try look() }
      }
      setPeace(true)
      client.abandon()
      try reopenInPeace()
    } catch {
      figures.violations.append("seed \(seed), call \(figures.calls): \(error)")
    }
    client.machine.disk.faultPlan = nil
    client.abandon()
    traces.append(client.machine.disk.traceHash)
    countRarePaths()
    figures.faults = plan.withLock { $0.faultCount }
    return figures
  }

  private func countRarePaths() {
    figures.rarePaths.merge(client.machine.rarePathCounts, uniquingKeysWith: +)
  }

  private func act() throws {
    let step = vary(steps[random.below(steps.count)])
    if crashOdds > 0, random.below(crashOdds) == 0 {
      let count = 1 + random.below(12)
      plan.withLock { $0.changesToCrash = count }
    }
    figures.calls += 1
    if roomOdds > 0, room.below(roomOdds) == 0 {
      roomLimit = roomLimit == nil ? room.below(600_000) : nil
      client.machine.disk.setSpaceLimit(roomLimit)
    }
    let commits = client.model.states.count
    let keyspaces = client.model.keyspaces.count
    do {
      if step == .kill {
        client.abandon()
        try client.open()
      } else {
        try client.run(step)
      }
      if step == .kill || step == .reopen {
        try settle(powerFailed: plan.withLock { $0.syncFailed })
      }
    } catch let error as StoreError {
      if plan.withLock({ $0.crash != nil }) { return }
      figures.refusals += 1
      if client.note(error, commitsBefore: commits, keyspacesBefore: keyspaces)
        || error.storeState != .usable || step == .reopen || step == .kill || random.below(8) == 0
      {
        try reopenInPeace()
      }
    }
  }

  /// Other keys each time.
  private func vary(_ step: Step) -> Step {
    let key = random.below(60)
    switch step {
    case .put(_, let byteCount, let synced):
      return .put(key, byteCount: byteCount, synced: synced)
    case .delete(_, let synced): return .delete(key, synced: synced)
    case .deleteRange: return .deleteRange(key, key + 1 + random.below(20))
    default: return step
    }
  }

  /// An open store shows what was acknowledged; while reads fail it may refuse.
  private func look() throws {
    setPeace(true)
    defer { setPeace(false) }
    figures.readings += 1
    try client.look()
  }

  /// Nothing fails any more: the store must open and hold what was promised.
  private func reopenInPeace() throws {
    setPeace(true)
    defer { setPeace(false) }
    client.abandon()
    let openFileCount = client.machine.disk.openFileCount
    guard openFileCount == 0 else {
      throw Violation(description: "\(openFileCount) files are open after the store is gone")
    }
    do { try client.open() } catch {
      throw Violation(description: "does not open when nothing fails any more: \(error)")
    }
    try settle(powerFailed: plan.withLock { $0.syncFailed })
  }

  private func settle(powerFailed: Bool) throws {
    figures.readings += 1
    try client.settle(powerFailed: powerFailed)
    plan.withLock { $0.syncFailed = false }
  }

  private func goOnAfterCrash() throws {
    guard let crash = plan.withLock({ $0.crash.take() }) else { return }
    figures.crashes += 1
    let survival: Survival =
      switch random.below(4) {
      case 0: .processKill
      case 1: .nothingUnsynced
      default: .random(random.next())
      }
    client.machine.disk.faultPlan = nil
    traces.append(client.machine.disk.traceHash)
    countRarePaths()
    let after = SimulatedMachine(
      seed: random.next(), disk: crash.disk.crashed(survival), rarePathOdds: rarePathOdds)
    client.goOn(after, crash.model)
    let cacheLost = plan.withLock { $0.syncFailed }
    watch(after.disk)
    setPeace(true)
    do { try client.open() } catch {
      throw Violation(description: "does not open after a crash, \(survival): \(error)")
    }
    try settle(powerFailed: survival != .processKill || cacheLost)
    setPeace(false)
  }

  // MARK: - The disk

  private func setPeace(_ isPeace: Bool) {
    plan.withLock { $0.isPeace = isPeace }
    client.machine.disk.setSpaceLimit(isPeace ? nil : roomLimit)
  }

  private func watch(_ disk: SimulatedDisk) {
    disk.faultPlan = { [unowned self, unowned disk] operation, _ in fault(operation, disk) }
  }

  private func fault(_ operation: FileOperation, _ disk: SimulatedDisk) -> Fault? {
    // Before the lock: the copy asks the disk.
    let stops = plan.withLock { plan -> Bool in
      guard plan.crash == nil, !plan.isPeace, operation.changesDisk, let count = plan.changesToCrash
      else {
        return false
      }
      plan.changesToCrash = count > 1 ? count - 1 : nil
      return count <= 1
    }
    if stops {
      let crash = (disk.copy(), client.model)
      plan.withLock { $0.crash = crash }
    }
    return plan.withLock { plan -> Fault? in
      if plan.crash != nil { return .error(5) }
      guard !plan.isPeace, plan.faultOdds > 0, !plan.faults.isEmpty,
        plan.random.below(plan.faultOdds) == 0
      else { return nil }
      let fault = plan.faults[plan.random.below(plan.faults.count)]
      switch fault {
      case .syncFailure:
        guard operation.systemName == "fdatasync" else { return nil }
        plan.syncFailed = true
      case .partialWrite:
        guard operation.systemName == "pwrite" else { return nil }
      case .error:
        if operation.systemName == "fdatasync" { plan.syncFailed = true }
      }
      plan.faultCount += 1
      return fault
    }
  }
}

/// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
struct Random: Sendable {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var bits = state
    bits = (bits ^ bits >> 30) &* 0xBF58_476D_1CE4_E5B9
    bits = (bits ^ bits >> 27) &* 0x94D0_49BB_1331_11EB
    return bits ^ bits >> 31
  }

  mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(bound)) }
}
