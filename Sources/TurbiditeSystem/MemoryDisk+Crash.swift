// MemoryDisk+Crash — the disk as it is found after a crash.
//
// Room:    System.
// Source:  Pillai et al., OSDI 2014, section 2: unsynced changes of names persist in any order, but
//          a rename is atomic; changes of one name persist in their own order.

/// What survives a crash.
package enum Survival: Sendable, Hashable {
  /// The process died, the system did not: everything survives, and what was not synced is still
  /// not synced.
  case processKill
  /// The power failed, and nothing survives that was not synced.
  case nothingUnsynced
  /// The power failed, and chance decides what else survives: the same for the same seed.
  case random(UInt64)
}

extension MemoryDisk {
  /// The disk after a crash, without openings and locks.
  func crashed(_ survival: Survival) -> MemoryDisk {
    switch survival {
    case .processKill:
      var disk = self
      disk.openFiles = [:]
      disk.locks = [:]
      disk.sweep()
      return disk
    case .nothingUnsynced:
      return remains { $0.syncedBytes }
    case .random(let seed):
      let random = SeededRandom(seed: seed)
      var disk = self
      for change in changesThatSurvive(random) { disk.settle(change) }
      return disk.remains { $0.bytesAfterPowerLoss(random) }
    }
  }

  /// Draws the changes of names that reached the disk, in order.
  private func changesThatSurvive(_ random: any RandomSource) -> [NameChange] {
    switch random.below(4) {
    case 0: return []
    case 1: return pendingNames
    case 2: return Array(pendingNames.prefix(random.below(pendingNames.count + 1)))
    default:
      var kept: [NameChange] = []
      // A change that is lost takes with it every later one of the same names.
      var lostNames: Set<NameKey> = []
      for change in pendingNames {
        let isLost = change.names.contains(where: lostNames.contains) || random.isOne(in: 2)
        if isLost { lostNames.formUnion(change.names) } else { kept.append(change) }
      }
      return kept
    }
  }

  /// A disk of what the durable names lead to, with each file's bytes from `bytes`.
  private func remains(_ bytes: (MemoryContent) -> PagedBytes) -> MemoryDisk {
    var disk = MemoryDisk()
    disk.nextNumber = nextNumber
    disk.spaceLimit = spaceLimit
    disk.directories = [:]
    var unvisited = [Self.root]
    var found: [Int] = []
    while let number = unvisited.popLast() {
      let names = directories[number]?.durable ?? [:]
      disk.directories[number] = Directory(current: names, durable: names)
      for node in names.values {
        if directories[node] == nil { found.append(node) } else { unvisited.append(node) }
      }
    }
    // In the order of their numbers, so that the same draws go to the same files.
    for file in found.sorted() where disk.files[file] == nil {
      disk.files[file] = MemoryContent(durable: bytes(files[file] ?? MemoryContent()))
    }
    return disk
  }
}
