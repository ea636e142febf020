// TableTargets — tables under fuzz: whole files, and the payload of each kind of block.
//
// Room:    Fuzzers.
// Format:  FORMAT.md section 3.

import TurbiditeSystem

@testable import TurbiditeEngine

/// The entries of the tables' fuzzers.
enum TableTargets {
  /// Opens a table, scans it forwards and back, looks its keys up, and verifies it.
  static func table(_ input: [UInt8]) {
    tolerating { () throws(StoreError) in
      let file = try lone(input, as: "shards/0000/000007.tsst")
      let (identity, _) = try TableReader.readIdentity(file)
      let reader = try TableReader(
        file: file, identity: identity, expecting: nil,
        cache: BlockCache(capacityByteCount: 1 << 16))
      for byte: UInt8 in [0, 0x6b, 0xff] {
        tolerating { () throws(StoreError) in try lookUp([byte], in: reader) }
      }
      var forward: Int?
      tolerating { () throws(StoreError) in forward = try scan(reader) }
      tolerating { () throws(StoreError) in
        let backward = try scanBack(reader)
        require(forward == nil || forward == backward, "a scan back finds another count")
      }
      tolerating { () throws(StoreError) in
        try reader.verify()
        require(forward == Int(reader.properties.entryCount), "a verified table scans short")
      }
    }
  }

  private static func lookUp(_ key: [UInt8], in reader: TableReader) throws(StoreError) {
    try key.withView { key throws(StoreError) in
      var pin = BlockPin()
      _ = try reader.find(
        key, hash: key.hash(), at: Tag.maximumSequence, access: .point, pinning: &pin)
      let cursor = try reader.makeCursor(access: .point)
      try cursor.seek(key, .newest(at: Tag.maximumSequence))
      if cursor.isValid { require(cursor.key.compare(key) >= 0, "a seek stops before its target") }
      try cursor.seekBefore(key, .newest(at: Tag.maximumSequence))
      if cursor.isValid { require(cursor.key.compare(key) < 0, "a seek back stops behind") }
    }
  }

  private static func scan(_ reader: TableReader) throws(StoreError) -> Int {
    let cursor = try reader.makeCursor(access: .scan)
    try cursor.seekToFirst()
    var count = 0
    var previous: (key: [UInt8], tag: Tag)?
    while cursor.isValid {
      if let previous {
        let order = previous.key.withView {
          compareInternal($0, previous.tag, cursor.key, cursor.tag)
        }
        require(order < 0, "a table's keys do not ascend")
      }
      previous = (cursor.key.bytes(), cursor.tag)
      count += 1
      try cursor.next()
    }
    return count
  }

  private static func scanBack(_ reader: TableReader) throws(StoreError) -> Int {
    let cursor = try reader.makeCursor(access: .point)
    try cursor.seekToLast()
    var count = 0
    while cursor.isValid {
      count += 1
      try cursor.previous()
    }
    return count
  }

  /// Reads a data block: all its groups, and its keys again by lookup.
  static func block(_ input: [UInt8]) {
    tolerating { () throws(StoreError) in
      guard let owner = input.withView({ OwnedBuffer(copying: $0) }) else { return }
      let block = try Block(
        CheckedBlock(raw: owner), BlockKey(7, 0), path: "block")
      for key: [UInt8] in [[0], [0x6b, 0x65], [0xff]] {
        key.withView { key in
          _ = block.find(key, at: Tag.maximumSequence)
          let index = block.firstIndex(from: key, .newest(at: Tag.maximumSequence))
          require(
            index == block.count || block.key(index).compare(key) >= 0, "a seek stops too early")
          require(index == 0 || block.key(index - 1).compare(key) < 0, "a seek stops too late")
        }
      }
      var found: [(key: [UInt8], tag: Tag, value: [UInt8])] = []
      for entry in 0..<block.count {
        let (key, tag) = (block.key(entry), block.tag(entry))
        if let last = found.last {
          let order = last.key.withView { compareInternal($0, last.tag, key, tag) }
          require(order < 0, "a block's keys do not ascend")
        }
        found.append((key.bytes(), tag, block.value(entry).bytes()))
      }
      for entry in found {
        entry.key.withView { key in
          let match = block.find(key, at: entry.tag.sequence)
          // A foreign writer may give a value and a tombstone the same number: the first is found.
          require(
            match?.tag.sequence == entry.tag.sequence, "a lookup misses what a walk found")
          require(
            match?.tag != entry.tag || match?.value.bytes() == entry.value,
            "a lookup finds another value")
        }
      }
    }
  }

  /// Decodes an index whose blocks end where its own sizes say, then searches it.
  ///
  /// The first two bytes are the size of the space that the blocks must fill.
  static func index(_ input: [UInt8]) {
    guard input.count >= 2 else { return }
    let start = UInt64(TableFormat.headerByteCount)
    let end = start + UInt64(input.load(0, as: UInt16.self))
    Array(input.dropFirst(2)).withView { payload in
      do throws(DecodingFailureOrMemory) {
        let index = try TableIndex(payload, from: start, to: end)
        var expected = start
        for block in 0..<index.count {
          let handle = index.handle(block)
          require(handle.offset == expected && handle.byteCount > 0, "blocks leave a gap")
          expected = handle.end
        }
        require(index.count == 0 || expected == end, "the blocks do not fill the file")
        for key: [UInt8] in [[], [0x61], [0x6b, 0x65, 0x79, 0x31], [0xff, 0xff]] {
          key.withView { key in
            let tag = Tag.newest(at: Tag.maximumSequence)
            let block = index.firstBlock(from: key, tag)
            require((0...index.count).contains(block), "a search leaves the index")
            if block > 0 {
              require(index.orderOfSeparator(block - 1, key, tag) < 0, "a search goes too far")
            }
            if block < index.count {
              require(index.orderOfSeparator(block, key, tag) >= 0, "a search stops too early")
            }
          }
        }
      } catch {
        // Refused with a finding, or for want of memory: both are answers.
        return
      }
    }
  }

  /// Asks a filter of any contents.
  static func filter(_ input: [UInt8]) {
    input.withView { payload in
      do throws(DecodingFailureOrMemory) {
        let filter = try Filter(payload)
        var hash: UInt64 = 1
        for _ in 0..<32 {
          _ = filter.mayContain(hash)
          hash = hash &* 0x9e37_79b9_7f4a_7c15 &+ 1
        }
        _ = filter.mayContain(.max)
        require(filter.memoryByteCount <= payload.count + 128, "a filter takes more than it read")
      } catch {
        // Refused with a finding, or for want of memory: both are answers.
        return
      }
    }
  }

  /// Decodes range tombstones, and encodes them again.
  static func tombstones(_ input: [UInt8]) {
    input.withView { payload in
      do throws(DecodingFailure) {
        let (set, count) = try TombstoneBlock.decode(payload)
        require(TombstoneBlock.extent(set).count == count, "tombstones are lost")
        let written = TombstoneBlock.payload(set)
        let again = try written.withView { bytes throws(DecodingFailure) in
          try TombstoneBlock.decode(bytes)
        }
        require(again.count == count, "tombstones are lost when written again")
        require(TombstoneBlock.payload(again.set) == written, "tombstones change when written")
      } catch {
        require(!error.finding.isEmpty, "a failure says nothing")
      }
    }
  }

  /// Decodes properties, with what may follow and without, and encodes them again.
  static func properties(_ input: [UInt8]) {
    for features in [0, TableFormat.replacementFeature] {
      input.withView { payload in
        do throws(DecodingFailure) {
          let properties = try TableProperties.decode(payload, optionalFeatures: features)
          require(properties.payload() == payload.bytes(), "properties change when written again")
        } catch {
          require(!error.finding.isEmpty, "a failure says nothing")
        }
      }
    }
  }

  /// Decompresses the input as LZ4, and compresses what that gave, and the input itself.
  ///
  /// The first three bytes are the raw size to expect, at most 1 MiB.
  static func lz4(_ input: [UInt8]) {
    guard input.count >= 4 else { return }
    let size = Int(input.load(0, as: UInt32.self) & 0x0f_ffff)
    let stored = Array(input.dropFirst(3))
    guard size <= Compression.largestRawByteCount(storedByteCount: stored.count) else { return }
    guard let target = OwnedBuffer(count: size) else { return }
    if stored.withView({ decompressLZ4($0, into: target) }) { roundTrip(target.view.bytes()) }
    roundTrip(stored)
  }

  private static func roundTrip(_ raw: [UInt8]) {
    guard let back = OwnedBuffer(count: raw.count), let packed = compressed(raw) else { return }
    require(packed.count <= raw.count - raw.count / 8, "compression saves less than it promises")
    require(packed.withView { decompressLZ4($0, into: back) }, "LZ4 does not come back")
    require(back.view.bytes() == raw, "LZ4 comes back changed")
  }
}

/// The bytes of `raw` compressed, when that saves at least an eighth.
func compressed(_ raw: [UInt8]) -> [UInt8]? {
  do { return try Compressor.compress(once: raw) } catch { preconditionFailure("\(error)") }
}
