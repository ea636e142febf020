// Tree+Read — the newest visible version of a key, looked for from the newest layer to the oldest.
//
// Room:    Engine/Shard.

import TurbiditeSystem

/// What a point lookup found.
enum PointLookup {
  /// Valid while the pin is held.
  case value(ByteView)
  case absent
  /// The answer is on disk, and the caller asked not to wait for it.
  case wouldBlock
}

extension TreeVersion {
  /// The value of `key` for a reader at `sequence`.
  ///
  /// Stops at the first layer that has the key: invariant 1 makes every deeper version older.
  func find(
    _ key: ByteView, hash: UInt64, at sequence: UInt64, access: BlockAccess,
    pinning pin: inout BlockPin
  ) throws(StoreError) -> PointLookup {
    var search = PointSearch(key: key, sequence: sequence)
    if let active, let verdict = search.look(in: active.memtable) { return verdict }
    for memtable in frozen {
      if let verdict = search.look(in: memtable.memtable) { return verdict }
    }
    for table in levels[0] where table.mayHold(key) {
      if let verdict = try search.look(in: table, hash: hash, access: access, pinning: &pin) {
        return verdict
      }
    }
    for run in runs {
      guard let table = TreeVersion.table(for: key, in: run) else { continue }
      if let verdict = try search.look(in: table, hash: hash, access: access, pinning: &pin) {
        return verdict
      }
    }
    return .absent
  }

  /// The one table of a sorted level that may hold `key`.
  static func table(for key: ByteView, in level: [TableHandle]) -> TableHandle? {
    let index = firstIndex(notBefore: key, in: level)
    guard index < level.count, level[index].mayHold(key) else { return nil }
    return level[index]
  }

  /// The index of the first table of a sorted level that does not end before `key`.
  static func firstIndex(notBefore key: ByteView, in level: [TableHandle]) -> Int {
    var low = 0
    var high = level.count
    while low < high {
      let middle = (low + high) / 2
      if level[middle].ends(before: key) { low = middle + 1 } else { high = middle }
    }
    return low
  }

  /// The tables of a sorted level that may hold keys in `[from, to)`.
  static func indices(of level: [TableHandle], from: [UInt8]?, to: [UInt8]?) -> Range<Int> {
    let low = from?.withView { firstIndex(notBefore: $0, in: level) } ?? 0
    guard let to else { return low..<level.count }
    var high = to.withView { firstIndex(notBefore: $0, in: level) }
    if high < level.count, level[high].meets(from: nil, to: to) { high += 1 }
    return low..<max(low, high)
  }
}

/// One point lookup on its way down.
private struct PointSearch {
  let key: ByteView
  let sequence: UInt64
  /// The newest range tombstone so far that covers the key.
  ///
  /// What it covers may lie in a deeper layer and be newer all the same, where the key came from
  /// another shard; so the search goes on.
  private var covering: UInt64?

  init(key: ByteView, sequence: UInt64) {
    self.key = key
    self.sequence = sequence
  }

  /// Nil means that this layer does not have the key and the search goes on.
  mutating func look(in memtable: Memtable) -> PointLookup? {
    note(memtable.rangeTombstones.newestCovering(key, at: sequence))
    return verdict(memtable.find(key, at: sequence))
  }

  mutating func look(
    in table: TableHandle, hash: UInt64, access: BlockAccess, pinning pin: inout BlockPin
  ) throws(StoreError) -> PointLookup? {
    // What is covered whatever it is need not be read.
    if let covering, covering > table.metadata.summary.largestSequence { return nil }
    let reader: TableReader
    if case .cachedOnly = access {
      guard let open = table.openReader else { return .wouldBlock }
      reader = open
    } else {
      reader = try table.open()
    }
    if table.metadata.summary.rangeTombstoneCount > 0 {
      note(reader.rangeTombstones.newestCovering(key, at: sequence))
    }
    switch try reader.find(key, hash: hash, at: sequence, access: access, pinning: &pin) {
    case .found(let entry): return verdict(entry)
    case .absent: return planted(.tombstoneEndsSearch) && covering != nil ? .absent : nil
    case .wouldBlock: return .wouldBlock
    }
  }

  private mutating func note(_ sequence: UInt64?) {
    if let sequence { covering = max(covering ?? 0, sequence) }
  }

  private func verdict(_ found: FoundEntry?) -> PointLookup? {
    guard let found else { return nil }
    if let covering, covering > found.tag.sequence { return .absent }
    return found.tag.isValue ? .value(found.value) : .absent
  }
}
