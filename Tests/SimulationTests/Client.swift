// Client — runs a workload on a store and writes down what it was promised.

import Turbidite
import TurbiditeSimulation

/// What contradicts a promise.
struct Violation: Error, CustomStringConvertible {
  var description: String
}

/// One run of a workload, for one thread.
final class Client {
  private(set) var machine: SimulatedMachine
  private let options: Store.Options
  var model = StoreModel()
  /// A sync may fail, and take with it what the system's cache held: a kill is then as bad as a
  /// loss of power.
  var mayLoseCache = false
  /// Of the call at hand some of several commits may be there when it throws.
  var isOutcomeOpen = false
  private var store: Store?
  private var snapshot: Snapshot?
  private var snapshotContents: StoreModel.Contents = [:]
  private var valueCount: UInt64 = 0

  init(_ machine: SimulatedMachine, _ options: Store.Options) {
    self.machine = machine
    self.options = options
  }

  func open() throws {
    var options = options
    // It may have other shards by now.
    if model.wasCreated { options.shardCount = nil }
    store = try machine.open(options)
    model.wasCreated = true
  }

  /// Lets the store go, as the death of a process does.
  func abandon() {
    snapshot = nil
    store = nil
  }

  var isOpen: Bool { store != nil }

  /// The machine stopped: another one goes on with what is left of the disk, and `model` says what
  /// was promised at that moment.
  func goOn(_ after: SimulatedMachine, _ model: StoreModel) {
    abandon()
    machine = after
    self.model = model
    isOutcomeOpen = false
  }

  /// A call threw `error`, having tried what it added to the model.
  ///
  /// - Returns: whether the outcome is open.
  func note(_ error: StoreError, commitsBefore: Int, keyspacesBefore: Int) -> Bool {
    defer { isOutcomeOpen = false }
    if model.keyspaces.count > keyspacesBefore || isOutcomeOpen { return true }
    guard model.states.count > commitsBefore else { return false }
    if error.outcome == .no {
      model.retract()
      return false
    }
    return true
  }

  /// Reads everything, and compares it with what is to be seen.
  func look() throws {
    guard let store else { return }
    let found = try StoreModel.Contents(of: store)
    if let objection = model.objection(toVisible: found) {
      throw Violation(description: "while open: \(objection)")
    }
  }

  /// Reads everything after a recovery, and goes on from there.
  func settle(powerFailed: Bool) throws {
    guard let store else { return }
    let found = try StoreModel.Contents(of: store)
    if let objection = model.objection(to: found, powerFailed: powerFailed) {
      throw Violation(description: objection)
    }
    model.settle(on: found)
  }

  func run(_ step: Step) throws {
    if store == nil {
      try open()
      // The store was closed with an error.
      if mayLoseCache { try settle(powerFailed: true) }
    }
    if step == .kill {
      // Before any other reference to the store is taken: its end is the kill.
      abandon()
      try open()
      if mayLoseCache { return try settle(powerFailed: true) }
      // Opening writes anew, durably, what it found.
      return model.everythingIsDurable()
    }
    guard let store = store?.blocking else { return }
    switch step {
    case .put(let key, let byteCount, let synced):
      let value = makeValue(byteCount)
      model.begin { $0["", default: [:]][Self.key(key)] = value }
      try store.put(Self.key(key), value, durability: synced ? .synced : .buffered)
      model.acknowledge(synced: synced)
    case .delete(let key, let synced):
      model.begin { $0["", default: [:]][Self.key(key)] = nil }
      try store.delete(Self.key(key), durability: synced ? .synced : .buffered)
      model.acknowledge(synced: synced)
    case .deleteRange(let first, let end):
      let range = KeyRange(from: Self.key(first), to: Self.key(end))
      model.begin { contents in
        contents["", default: [:]] = contents["", default: [:]].filter {
          $0.key < Self.key(first) || $0.key >= Self.key(end)
        }
      }
      try store.deleteRange(range)
      model.acknowledge(synced: false)
    case .batch(let count, let byteCount, let synced): try commit(count, byteCount, synced)
    case .flush:
      try store.flush()
      model.everythingIsDurable()
    case .compact: try store.compact()
    case .sync:
      try store.sync()
      model.everythingIsDurable()
    case .holdSnapshot:
      snapshot = store.snapshot()
      snapshotContents = model.last
    case .releaseSnapshot: try releaseSnapshot()
    case .createKeyspace(let name):
      model.beginKeyspaces { $0.insert(name) }
      _ = try store.createKeyspace(name)
      model.acknowledgeKeyspaces()
    case .putInKeyspace(let name, let key):
      let value = makeValue(30)
      model.begin { $0[name, default: [:]][Self.key(key)] = value }
      try store.put(Self.key(key), value, in: try store.keyspace(name))
      model.acknowledge(synced: false)
    case .dropKeyspace(let name):
      model.beginKeyspaces { $0.remove(name) }
      try store.dropKeyspace(name)
      model.acknowledgeKeyspaces()
    case .append, .appendAgain, .trim, .compactKeys: try runOnStream(step, store)
    case .addShard(let between): try reshard(.add, between, store)
    case .removeShard(let index, let between):
      let members = try store.statistics().shards.filter { $0.slotCount > 0 }.map(\.shard)
      guard members.count > 1 else { return }
      try reshard(.remove(members[index % members.count]), between, store)
    case .reopen:
      snapshot = nil
      // It is closed even when that throws.
      self.store = nil
      try store.close()
      model.everythingIsDurable()
      try open()
    case .readBeside:
      var options = options
      options.shardCount = nil
      let found = try StoreModel.Contents(of: try machine.open(options, mode: .readOnly))
      // A sync that failed may have taken from the cache what no one had synced: the writer's own
      // memory still shows it, no one else does.
      let objection =
        mayLoseCache
        ? model.objection(to: found, powerFailed: true) : model.objection(toVisible: found)
      if let objection {
        throw Violation(description: "to a reader beside the writer: \(objection)")
      }
    case .kill: break
    }
  }

  private func reshard(
    _ change: ShardChange, _ steps: [Step], _ store: Store.Blocking
  ) throws {
    // Other calls have succeeded when this one fails.
    isOutcomeOpen = true
    var failure: (any Error)?
    do throws(StoreError) {
      var stage = 0
      try store.reshard(change) { _ throws(StoreError) in
        defer { stage += 1 }
        do {
          for (index, step) in steps.enumerated() where index % 3 == stage { try run(step) }
        } catch let error as StoreError { throw error } catch { failure = failure ?? error }
      }
    } catch {
      if failure == nil { failure = error }
    }
    if let failure { throw failure }
    isOutcomeOpen = false
  }

  private func commit(_ count: Int, _ byteCount: Int, _ synced: Bool) throws {
    guard let store = store?.blocking else { return }
    var batch = Store.Batch()
    var next = model.last
    for place in 0..<count {
      let key = Self.key(Int(valueCount) * 7 % 60 + place)
      if place % 5 == 4 {
        batch.delete(key)
        next["", default: [:]][key] = nil
      } else {
        let value = makeValue(byteCount)
        batch.put(key, value)
        next["", default: [:]][key] = value
      }
    }
    model.begin { $0 = next }
    try store.commit(batch, durability: synced ? .synced : .buffered)
    model.acknowledge(synced: synced)
  }

  private func releaseSnapshot() throws {
    guard let snapshot = snapshot.take() else { return }
    let scan = try snapshot.blockingScan()
    var found: [Bytes: Bytes] = [:]
    while let entry = try scan.next() { found[entry.key] = entry.value }
    guard found == snapshotContents["", default: [:]] else {
      throw Violation(description: "a snapshot does not show the moment it was made")
    }
  }

  /// Three digits, so that their order is that of the numbers.
  static func key(_ number: Int) -> Bytes {
    let digits = String(number % 1000)
    return Bytes("key" + String(repeating: "0", count: 3 - digits.count) + digits)
  }

  func makeValue(_ byteCount: Int) -> Bytes {
    valueCount += 1
    var bytes = [UInt8](repeating: 0, count: byteCount)
    var state = machine.seed &* 0x9E37_79B9_7F4A_7C15 ^ valueCount
    for index in bytes.indices {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      bytes[index] = UInt8(truncatingIfNeeded: state >> 56)
    }
    return Bytes(bytes)
  }
}

extension StoreModel.Contents {
  /// Everything a store holds, read in every way there is, which must agree.
  init(of store: Store) throws {
    self = [:]
    for name in try store.blocking.streams() {
      self[name] = try StreamContents(of: try store.blocking.stream(name), in: store).entries
    }
    for name in [""] + (try store.blocking.keyspaces()) {
      let keyspace = name.isEmpty ? .default : try store.blocking.keyspace(name)
      var entries: [Bytes: Bytes] = [:]
      var previous: Bytes?
      let scan = try store.blocking.scan(in: keyspace)
      while let entry = try scan.next() {
        if let previous, entry.key <= previous {
          throw Violation(description: "\(entry.key) follows \(previous) in a scan")
        }
        previous = entry.key
        entries[entry.key] = entry.value
      }
      let backward = try store.blocking.scan(in: keyspace, reverse: true)
      var count = 0
      while let entry = try backward.next() {
        count += 1
        guard entries[entry.key] == entry.value else {
          throw Violation(description: "\(entry.key) differs in a scan backward")
        }
      }
      guard count == entries.count else {
        throw Violation(description: "\(count) entries backward, \(entries.count) forward")
      }
      // In order: the order of a dictionary is not the same each time.
      for key in entries.keys.sorted() {
        guard try store.blocking.get(key, in: keyspace) == entries[key] else {
          throw Violation(description: "get of \(key) differs from the scan")
        }
      }
      self[name] = entries
    }
  }
}
