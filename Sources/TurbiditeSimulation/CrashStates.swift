// CrashStates — every state that a crash at one moment may leave, within bounds.
//
// Room:    Simulation.
// Source:  Bounded exhaustive crash testing: Mohan et al., "Finding crash-consistency bugs with
//          bounded black-box crash testing", OSDI 2018; the states are those of Pillai et al.,
//          OSDI 2014, section 2.

/// What a crash may do to what was not synced.
public enum CrashModel: Sendable, Hashable, CaseIterable {
  /// What POSIX allows: any subset of the changes of names, each sector old or new, sizes apart
  /// from bytes. The promises of the store hold here.
  case posix
  /// What ext4 does with ordered data: changes of names survive in their order, and each sync of
  /// any file carries all earlier ones.
  case ext4Ordered
  /// The process dies, and the system lives on: everything survives.
  case processCrash
}

/// How many states are made of one moment.
public struct CrashBounds: Sendable, Hashable {
  /// Of so many changes, evenly chosen, each prefix, each one missing, each one alone.
  public var changeCount = 16
  /// All subsets of changes of names while there are no more than this.
  public var nameSubsetChangeCount = 4
  /// The last write is torn at so many sectors, evenly chosen.
  public var sectorCount = 8
  /// Subsets drawn by chance.
  public var drawnCount = 8
  /// The seed of chance.
  public var seed: UInt64 = 1

  /// The bounds of the package's own tests.
  public init() {}
}

extension DiskState {
  /// The survivors to try, without repetition: those that leave equal disks may be among them.
  func crashSurvivors(_ model: CrashModel, _ bounds: CrashBounds) -> [Survivors] {
    let orders = pendingOrders
    guard !orders.isEmpty else { return [Survivors(.none)] }
    var choices: [Survivors.Choice] = [.none, .all]
    for order in Self.spread(orders, bounds.changeCount) {
      choices += [.through(order), .allBut(order), .only(order)]
    }
    for draw in 0..<bounds.drawnCount {
      choices.append(.drawn(SplitMix64.mixed(bounds.seed ^ UInt64(draw) << 32 ^ UInt64(nextOrder))))
    }
    var found = choices.map { Survivors($0) }
    found += nameSubsets(bounds)
    found += tears(orders, bounds)
    switch model {
    case .posix: break
    case .processCrash: found = [.everything]
    case .ext4Ordered:
      let last = orders.last ?? 0
      found = found.flatMap { survivors in
        ([journalOrder - 1, last] + Self.spread(orders.filter { $0 >= journalOrder }, 4)).map {
          Survivors(names: .through($0), content: survivors.content, tear: survivors.tear)
        }
      }
    }
    var seen: Set<Survivors> = []
    return found.filter { seen.insert($0).inserted }
  }

  /// All subsets of the last few changes of names, with all of the contents and with none.
  private func nameSubsets(_ bounds: CrashBounds) -> [Survivors] {
    let all = pendingNames.map(\.order)
    let free = all.suffix(bounds.nameSubsetChangeCount)
    guard free.count > 1 else { return [] }
    return (0..<(1 << free.count)).flatMap { mask -> [Survivors] in
      var kept = Set(all.dropLast(free.count))
      for (index, order) in free.enumerated() where mask >> index & 1 == 1 { kept.insert(order) }
      return [
        Survivors(names: .these(kept), content: .all),
        Survivors(names: .these(kept), content: .none),
      ]
    }
  }

  /// The last write cut at its sectors, with the earlier changes and without them, and the space
  /// that it did not fill showing zeros or old bytes.
  private func tears(_ orders: [Int], _ bounds: CrashBounds) -> [Survivors] {
    func sectorCount(_ order: Int) -> Int {
      files.values.lazy.map { $0.sectorCount(ofChange: order) }.max() ?? 0
    }
    guard let last = orders.last(where: { sectorCount($0) > 0 }) else {
      return [Survivors(names: .all, content: .all, showsStaleBytes: true)]
    }
    return Self.spread(Array(0...sectorCount(last)), bounds.sectorCount).flatMap { sector in
      [
        Survivors(names: .all, content: .all, tear: .before(sector: sector, of: last)),
        Survivors(names: .all, content: .all, tear: .from(sector: sector, of: last)),
        Survivors(
          names: .all, content: .all, tear: .before(sector: sector, of: last),
          showsStaleBytes: true),
        Survivors(names: .all, content: .only(last), tear: .before(sector: sector, of: last)),
      ]
    }
  }

  /// At most `count` of the elements, evenly spread, the first and the last among them.
  static func spread(_ elements: [Int], _ count: Int) -> [Int] {
    guard elements.count > count, count > 0 else { return count > 0 ? elements : [] }
    guard count > 1 else { return [elements[elements.count - 1]] }
    return (0..<count).map { elements[$0 * (elements.count - 1) / (count - 1)] }
  }
}
