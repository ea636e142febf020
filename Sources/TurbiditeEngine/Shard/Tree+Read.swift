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
  /// Stops at the first layer that knows the key: invariant 1 makes every deeper version older.
  func find(
    _ key: ByteView, hash: UInt64, at sequence: UInt64, access: BlockAccess,
    pinning pin: inout BlockPin
  ) throws(StoreError) -> PointLookup {
    let search = PointSearch(key: key, sequence: sequence)
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
}

/// One point lookup on its way down.
private struct PointSearch {
  let key: ByteView
  let sequence: UInt64

  /// Nil means that this layer does not know the key and the search goes on.
  func look(in memtable: Memtable) -> PointLookup? {
    let covering = memtable.rangeTombstones.newestCovering(key, at: sequence)
    return verdict(memtable.find(key, at: sequence), covering: covering)
  }

  func look(
    in table: TableHandle, hash: UInt64, access: BlockAccess, pinning pin: inout BlockPin
  ) throws(StoreError) -> PointLookup? {
    let reader: TableReader
    if case .cachedOnly = access {
      guard let open = table.openReader else { return .wouldBlock }
      reader = open
    } else {
      reader = try table.open()
    }
    let covering =
      table.metadata.summary.rangeTombstoneCount == 0
      ? nil : reader.rangeTombstones.newestCovering(key, at: sequence)
    switch try reader.find(key, hash: hash, at: sequence, access: access, pinning: &pin) {
    case .found(let entry): return verdict(entry, covering: covering)
    case .absent: return verdict(nil, covering: covering)
    case .wouldBlock: return .wouldBlock
    }
  }

  private func verdict(_ found: FoundEntry?, covering: UInt64?) -> PointLookup? {
    guard let found else { return covering == nil ? nil : .absent }
    if let covering, covering > found.tag.sequence { return .absent }
    return found.tag.isValue ? .value(found.value) : .absent
  }
}
