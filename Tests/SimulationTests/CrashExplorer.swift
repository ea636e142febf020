// CrashExplorer — crashes a workload at every boundary, in every bounded combination.

import Synchronization
import Turbidite
import TurbiditeSimulation

/// What a run of the explorer did and found.
struct CrashFigures: Sendable {
  var workloads = 0
  /// Moments between two operations of the disk at which a crash was tried.
  var boundaries = 0
  /// Disks that differ in what is durable.
  var states: Set<UInt64> = []
  var recoveries = 0
  /// Crashes in the middle of a recovery.
  var secondCrashes = 0
  /// Writes that were refused on the way.
  var refusals = 0
  var violations: [String] = []

  var line: String {
    "\(workloads) workloads, \(boundaries) boundaries, \(states.count) distinct crash states,"
      + " \(recoveries) recoveries, \(secondCrashes) crashes during recovery,"
      + " violations: \(violations.count)"
  }

  mutating func add(_ other: CrashFigures) {
    workloads += other.workloads
    boundaries += other.boundaries
    states.formUnion(other.states)
    recoveries += other.recoveries
    secondCrashes += other.secondCrashes
    refusals += other.refusals
    violations += other.violations
  }
}

/// Runs one workload, and looks at every disk that a crash may leave.
///
/// Method: the workload runs once. Before each operation that changes the disk, the disk is copied,
/// with what the client had been promised by then. Of each copy every bounded crash state is made;
/// the store is recovered from it and must hold the contents after one commit, not before the last
/// that was promised. Recovered once more it must hold the same. Every few states the recovery is
/// itself crashed at one of its own boundaries, and recovered again.
struct CrashExplorer {
  /// A moment at which the machine may stop.
  private struct Boundary {
    var disk: SimulatedDisk
    var model: StoreModel
    var index: Int
  }

  let name: String
  let steps: [Step]
  /// Boundaries before this step are left out: a shorter workload has tried them.
  var firstStep = 0
  let options: Store.Options
  let seed: UInt64
  var bounds = CrashBounds()
  var model = CrashModel.posix
  /// One state in so many is crashed again during its recovery; 0 for none.
  var secondCrashInterval = 4
  /// The write, counted from 0, that arrives whole and is refused all the same; none for nil.
  ///
  /// Only crashes behind it are tried.
  var refusedWrite: Int?

  func explore() -> CrashFigures {
    var figures = CrashFigures()
    figures.workloads = 1
    let boundaries: [Boundary]
    do { boundaries = try run(&figures) } catch {
      figures.violations.append("\(name), seed \(seed), without a crash: \(error)")
      return figures
    }
    var tried: Set<[UInt64]> = []
    for boundary in boundaries {
      figures.boundaries += 1
      check(boundary, .processKill, "kill", &tried, &figures)
      for survivors in boundary.disk.crashSurvivors(model, bounds: bounds) {
        check(boundary, .these(survivors), "\(survivors)", &tried, &figures)
      }
      if figures.violations.count > 3 { break }
    }
    return figures
  }

  /// Runs the workload, and keeps what each boundary leaves.
  private func run(_ figures: inout CrashFigures) throws -> [Boundary] {
    // With every other seed the store does often what it does seldom; and with the other ones
    // after sixteen, so that a sequence whose turn comes every sixteen seeds is run both ways.
    let isRare = (seed ^ seed >> 4) % 2 == 0
    let machine = SimulatedMachine(seed: seed, rarePathOdds: isRare ? 6 : nil)
    let client = Client(machine, options)
    let found = Mutex<[Boundary]>([])
    let isWatching = Mutex(firstStep == 0 && refusedWrite == nil)
    let writeCount = Mutex(0)
    // Safe: the closure runs on the one thread that runs the client.
    nonisolated(unsafe) let observed = client
    machine.disk.faultPlan = { [unowned disk = machine.disk, refusedWrite] operation, index in
      guard operation.changesDisk else { return nil }
      if isWatching.withLock({ $0 }) {
        let boundary = Boundary(disk: disk.copy(), model: observed.model, index: index)
        found.withLock { $0.append(boundary) }
      }
      guard operation.systemName == "pwrite" else { return nil }
      let number = writeCount.withLock { count in
        defer { count += 1 }
        return count
      }
      guard number == refusedWrite else { return nil }
      isWatching.withLock { $0 = true }
      return .partialWrite(byteCount: 1 << 20, 5)
    }
    for (index, step) in steps.enumerated() {
      if index == firstStep && refusedWrite == nil { isWatching.withLock { $0 = true } }
      let commits = client.model.states.count
      let keyspaces = client.model.keyspaces.count
      do { try client.run(step) } catch let error as StoreError where refusedWrite != nil {
        // Where the outcome is open, the model would have to be so from here on.
        if client.note(error, commitsBefore: commits, keyspacesBefore: keyspaces) { break }
      }
    }
    if let refusedWrite, writeCount.withLock({ $0 > refusedWrite }) { figures.refusals += 1 }
    let end = Boundary(
      disk: machine.disk.copy(), model: client.model, index: machine.disk.operationCount)
    machine.disk.faultPlan = nil
    client.abandon()
    return found.withLock { $0 } + [end]
  }

  private func check(
    _ boundary: Boundary, _ survival: Survival, _ words: String, _ tried: inout Set<[UInt64]>,
    _ figures: inout CrashFigures
  ) {
    let disk = boundary.disk.crashed(survival)
    let powerFailed = survival != .processKill
    let hash = disk.durableHash
    guard tried.insert(Self.promise(hash, boundary.model, powerFailed)).inserted else { return }
    if powerFailed { figures.states.insert(hash) }
    do {
      try recover(disk, boundary.model, powerFailed, &figures)
      if powerFailed, secondCrashInterval > 0, hash % UInt64(secondCrashInterval) == 0 {
        try crashAgain(disk, boundary.model, hash, &tried, &figures)
        if boundary.model.wasCreated { try verify(SimulatedMachine(seed: seed, disk: disk)) }
      }
    } catch {
      figures.violations.append(
        "\(name), seed \(seed), crash before operation \(boundary.index), \(words): \(error)")
    }
  }

  /// A disk under a promise: an equal disk under an equal promise was looked at before.
  private static func promise(
    _ hash: UInt64, _ model: StoreModel, _ powerFailed: Bool
  ) -> [UInt64] {
    [
      hash, UInt64(model.states.count), UInt64(powerFailed ? model.durable : model.acknowledged),
      UInt64(model.keyspaces.count), UInt64(model.acknowledgedKeyspaces), powerFailed ? 1 : 0,
    ]
  }

  /// Recovers twice; the second time after a loss of power right after the first.
  private func recover(
    _ disk: SimulatedDisk, _ model: StoreModel, _ powerFailed: Bool, _ figures: inout CrashFigures
  ) throws {
    let machine = SimulatedMachine(seed: seed ^ 1, disk: disk)
    let found = try contents(machine)
    figures.recoveries += 1
    if let objection = model.objection(to: found, powerFailed: powerFailed) {
      throw Violation(description: objection)
    }
    let again = try contents(machine.crashed(.nothingUnsynced), thenWrites: true)
    figures.recoveries += 1
    guard again == found else {
      throw Violation(description: "a second recovery finds other contents than the first")
    }
    try verify(machine)
  }

  /// A crash damages nothing: neither before a recovery nor after it.
  private func verify(_ machine: SimulatedMachine) throws {
    for finding in try machine.verify() where finding.severity == .damage {
      throw Violation(description: "verification: \(finding)")
    }
  }

  /// Crashes a recovery at one of its boundaries, drawn from `draw`.
  private func crashAgain(
    _ disk: SimulatedDisk, _ model: StoreModel, _ draw: UInt64, _ tried: inout Set<[UInt64]>,
    _ figures: inout CrashFigures
  ) throws {
    let machine = SimulatedMachine(seed: seed ^ 1, disk: disk.copy())
    let copies = Mutex<[SimulatedDisk]>([])
    machine.disk.faultPlan = { [unowned disk = machine.disk] operation, _ in
      if operation.changesDisk {
        let copy = disk.copy()
        copies.withLock { $0.append(copy) }
      }
      return nil
    }
    _ = try contents(machine)
    machine.disk.faultPlan = nil
    let boundaries = copies.withLock { $0 }
    guard !boundaries.isEmpty else { return }
    let chosen = boundaries[Int(truncatingIfNeeded: draw >> 8) & .max % boundaries.count]
    var few = CrashBounds()
    few.changeCount = 2
    few.nameSubsetChangeCount = 2
    few.sectorCount = 2
    few.drawnCount = 2
    few.seed = draw
    for survivors in chosen.crashSurvivors(.posix, bounds: few) {
      let after = chosen.crashed(.these(survivors))
      let hash = after.durableHash
      guard tried.insert(Self.promise(hash, model, true)).inserted else { continue }
      figures.states.insert(hash)
      figures.secondCrashes += 1
      do { try recover(after, model, true, &figures) } catch {
        throw Violation(description: "then a crash in the recovery, \(survivors): \(error)")
      }
    }
  }

  private func contents(
    _ machine: SimulatedMachine, thenWrites: Bool = false
  ) throws -> StoreModel.Contents {
    var options = options
    if steps.contains(where: \.changesShards) { options.shardCount = nil }
    let store = try machine.open(options)
    let found = try StoreModel.Contents(of: store)
    if thenWrites {
      try store.blocking.put("afterwards", "1", durability: .synced)
      guard try store.blocking.get("afterwards") == "1" else {
        throw Violation(description: "a write after the recovery is not there")
      }
    }
    return found
  }
}
