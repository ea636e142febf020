// DiskState+Crash — the disk as it is found after a crash.
//
// Room:    Simulation.
// Source:  Pillai et al., OSDI 2014, section 2: unsynced changes of names persist in any order, but
//          a rename is atomic; changes of one name persist in their own order.

import TurbiditeSystem

/// What survives a crash.
public enum Survival: Sendable, Hashable {
  /// The process died, the system did not: everything survives, and what was not synced is still
  /// not synced.
  case processKill
  /// The power failed, and nothing survives that was not synced.
  case nothingUnsynced
  /// The power failed, and these changes survive.
  case these(Survivors)
  /// The power failed, and chance decides what else survives: the same for the same seed.
  case random(UInt64)
}

extension DiskState {
  /// The disk after a crash, without openings and locks.
  func crashed(_ survival: Survival) -> DiskState {
    switch survival {
    case .processKill:
      var disk = self
      disk.openFiles = [:]
      disk.locks = [:]
      disk.sweep()
      return disk
    case .nothingUnsynced: return remains(Survivors(.none))
    case .these(let survivors): return remains(survivors)
    case .random(let seed): return remains(drawnSurvivors(SeededRandom(seed: seed)))
    }
  }

  /// The moments of all changes that are not durable, in order.
  var pendingOrders: [Int] {
    (pendingNames.map(\.order) + files.values.flatMap(\.pendingOrders)).sorted()
  }

  private func drawnSurvivors(_ random: any RandomSource) -> Survivors {
    let orders = pendingOrders
    func choice() -> Survivors.Choice {
      switch random.below(4) {
      case 0: .none
      case 1: .all
      case 2: orders.isEmpty ? .none : .through(orders[random.below(orders.count)])
      default: .drawn(random.next())
      }
    }
    return Survivors(
      names: choice(), content: choice(), tear: random.isOne(in: 3) ? .drawn(random.next()) : nil,
      showsStaleBytes: random.isOne(in: 4))
  }

  /// A disk of what the durable names and the surviving ones lead to.
  private func remains(_ survivors: Survivors) -> DiskState {
    var named = self
    // A change that is lost takes with it every later one of the same names.
    var lostNames: Set<NameKey> = []
    for change in pendingNames {
      let names = change.names
      if survivors.names.keeps(change.order), !names.contains(where: lostNames.contains) {
        named.settle(change)
      } else {
        lostNames.formUnion(names)
      }
    }
    var disk = DiskState()
    disk.nextNumber = nextNumber
    disk.nextOrder = nextOrder
    disk.journalOrder = nextOrder
    disk.spaceLimit = spaceLimit
    disk.openFileLimit = openFileLimit
    disk.directories = [:]
    var unvisited = [Self.root]
    while let number = unvisited.popLast() {
      let names = named.directories[number]?.durable ?? [:]
      disk.directories[number] = Directory(current: names, durable: names)
      for node in names.values {
        if directories[node] != nil {
          unvisited.append(node)
        } else if disk.files[node] == nil {
          let content = files[node] ?? FileContent()
          disk.files[node] = FileContent(
            durable: content.bytes(after: survivors) { staleBytes(from: $0, unlessOf: node) })
        }
      }
    }
    return disk
  }

  /// What a recycled sector holds: the bytes that another file has there, as adversaries would
  /// have it, or a pattern.
  private func staleBytes(from offset: Int, unlessOf file: Int) -> [UInt8] {
    let others = files.keys.filter { $0 != file }.sorted()
    for other in others {
      let bytes = files[other]?.current.read(offset, FileContent.sectorByteCount) ?? []
      if bytes.count == FileContent.sectorByteCount, bytes.contains(where: { $0 != 0 }) {
        return bytes
      }
    }
    return [UInt8](repeating: 0xDB, count: FileContent.sectorByteCount)
  }

  /// A hash of everything that is durable: names, sizes and bytes.
  var durableHash: UInt64 {
    var hash = TraceHash()
    add(Self.root, to: &hash)
    return hash.value
  }

  private func add(_ directory: Int, to hash: inout TraceHash) {
    let names = directories[directory]?.durable ?? [:]
    hash.add(UInt64(names.count))
    for (name, node) in names.sorted(by: { $0.key < $1.key }) {
      hash.add(name)
      if directories[node] != nil {
        add(node, to: &hash)
      } else {
        files[node]?.bytes(after: Survivors(.none)).add(to: &hash)
      }
    }
  }
}
