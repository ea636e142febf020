// Engine+Splits — a scan in parts of even size, and files for what a job puts aside.
//
// Room:    Engine/Shard.

package import TurbiditeSystem

extension Engine {
  /// Keys that cut a range into parts of about as many bytes, in ascending order.
  ///
  /// Of tables the indexes are asked, of memtables the entries; what has been overwritten or
  /// deleted counts as well. Any keys would do: they decide who does what, not what comes of it.
  ///
  /// - Parameter partByteCount: the size of a part before compression.
  package func splitKeys(
    of keyspace: KeyspaceState, from: [UInt8]?, to: [UInt8]?, partByteCount: Int, limit: Int
  ) throws(StoreError) -> [[UInt8]] {
    precondition(partByteCount > 0)
    try requireReadable(keyspace)
    var samples = SplitSamples(from: from, to: to, stepByteCount: max(1, partByteCount / 8))
    for view in views(of: keyspace, from: from, to: to) {
      let version = view.version
      for memtable in version.memtables { try samples.add(memtable.memtable) }
      for table in version.levels.joined() where samples.mayMeet(table) {
        samples.add(try table.open())
      }
    }
    return samples.keys(partByteCount: partByteCount, limit: limit)
  }

  /// Where jobs put what memory has no room for.
  ///
  /// A file has no name any more once it is made, so that none is left behind, however a job ends.
  /// Should the process die in between, the file is a table of no state, which the next opening
  /// removes.
  ///
  /// - Parameter elsewhere: where files are made of a store that is only read.
  package func runDisk(
    elsewhere: @escaping @Sendable () throws(StoreError) -> any FileSystem
  ) -> RunDisk {
    RunDisk(store: store) { () throws(StoreError) -> RunFile in
      let number = self.manifest.nextNumber()
      let fileSystem: any FileSystem
      var path = FileNames.table(shard: 0, number)
      if self.isReadOnly {
        fileSystem = try elsewhere()
        path = "turbidite-\(hexadecimal(self.environment.random.next())).run"
      } else {
        try self.requireWritable()
        fileSystem = self.environment.fileSystem
      }
      let file = try fileSystem.openFile(path, .create)
      try fileSystem.removeFile(path)
      return RunFile(file: file, number: number)
    }
  }
}

/// Keys of a range, and about how many bytes lie before each.
private struct SplitSamples {
  private let from: [UInt8]?
  private let to: [UInt8]?
  private let stepByteCount: Int
  private var samples: [(key: [UInt8], byteCount: Int)] = []

  init(from: [UInt8]?, to: [UInt8]?, stepByteCount: Int) {
    self.from = from
    self.to = to
    self.stepByteCount = stepByteCount
  }

  func mayMeet(_ table: TableHandle) -> Bool {
    if let from, from.withView({ table.largestKey.compare($0) < 0 }) { return false }
    if let to, to.withView({ table.smallestKey.compare($0) >= 0 }) { return false }
    return true
  }

  private func holds(_ key: ByteView) -> Bool {
    if let from, from.withView({ key.compare($0) < 0 }) { return false }
    if let to, to.withView({ key.compare($0) >= 0 }) { return false }
    return true
  }

  /// Takes the separators of a table's blocks, as many as are worth it.
  mutating func add(_ table: TableReader) {
    let count = table.index.count
    guard count > 0 else { return }
    let blockByteCount = max(1, Int(table.properties.rawByteCount) / count)
    let stride = max(1, stepByteCount / blockByteCount)
    var block = 0
    if let from { block = from.withView { table.index.firstBlock(from: $0, Tag(rawValue: .max)) } }
    while block < count {
      let last = min(block + stride, count) - 1
      let key = table.index.separatorKey(last)
      let byteCount = (last - block + 1) * blockByteCount
      if let to, key.withView({ key in to.withView { key.compare($0) >= 0 } }) { return }
      samples.append((key, byteCount))
      block = last + 1
    }
  }

  /// Takes entries of a memtable, which has no index: walks it.
  mutating func add(_ memtable: Memtable) throws(StoreError) {
    guard memtable.byteCount >= stepByteCount else { return }
    let cursor = memtable.makeCursor()
    if let from {
      try from.withView { from throws(StoreError) in
        try cursor.seek(from, Tag(rawValue: .max))
      }
    } else {
      try cursor.seekToFirst()
    }
    var byteCount = 0
    while cursor.isValid, holds(cursor.key) {
      byteCount += cursor.key.count + cursor.value.count
      if byteCount >= stepByteCount {
        samples.append((cursor.key.bytes(), byteCount))
        byteCount = 0
      }
      try cursor.next()
    }
  }

  func keys(partByteCount: Int, limit: Int) -> [[UInt8]] {
    let total = samples.reduce(0) { $0 + $1.byteCount }
    let count = min(max(1, total / partByteCount), limit)
    guard count > 1 else { return [] }
    let sorted = samples.sorted { one, other in
      one.key.withView { key in other.key.withView { key.compare($0) < 0 } }
    }
    var keys: [[UInt8]] = []
    var passed = 0
    for sample in sorted {
      passed += sample.byteCount
      guard keys.count + 1 < count, passed >= (keys.count + 1) * (total / count),
        keys.last != sample.key, sample.key.withView(holds), sample.key != from
      else { continue }
      keys.append(sample.key)
    }
    return keys
  }
}
