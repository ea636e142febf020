// Seeds — valid inputs, written by the engine itself: where fuzzing begins.
//
// Room:    Fuzzers. `Tools/fuzz --seeds` writes them; they are the same each time.

import TurbiditeSimulation
import TurbiditeSystem

@testable import TurbiditeCLI
@testable import TurbiditeEngine

extension FuzzTarget {
  /// Valid inputs for this target.
  var seeds: [[UInt8]] {
    do throws(StoreError) {
      return try Seeds.inputs(self)
    } catch {
      preconditionFailure("no seeds: \(error)")
    }
  }
}

/// The makers of valid inputs.
private enum Seeds {
  static func inputs(_ target: FuzzTarget) throws(StoreError) -> [[UInt8]] {
    let sample = SampleStore.shared
    switch target {
    case .log: return sample.files(.log).map(\.bytes) + [writtenLog(compresses: true)]
    case .recovery:
      return sample.files(.log).filter { $0.number == sample.lastSegment.number }.map(\.bytes)
        + [writtenLog(compresses: true), writtenLog(compresses: false)]
    case .entries: return [[0] + payload(carried: false), [1] + payload(carried: true)]
    case .manifest:
      return sample.files(.manifest).map { [0] + ManifestForm.compacted($0.bytes) }
    case .edits: return sample.files(.manifest).map { edits(in: $0.bytes) }
    case .table: return try tables()
    case .block, .index, .filter, .tombstones, .properties: return try parts(target)
    case .lz4: return lz4()
    case .inspect:
      return try sample.files(.log).map(\.bytes) + [writtenLog(compresses: true)]
        + tables().prefix(2)
        + sample.files(.manifest).map {
          Mending.manifest(ManifestForm.compacted($0.bytes), as: nil)
        }
    case .store, .repair: return archives()
    case .tsv: return texts(.tsv)
    case .ndjson: return texts(.ndjson)
    case .raw: return [rawStream()]
    case .escapes:
      return ["key\nkez", "\\x00\\t\\n\\xff\n\\\\", "00ff\n01", "AAEC\n/w==", "é\u{202e}"]
        .map { Array($0.utf8) }
    }
  }

  // MARK: - Log

  private static func payload(carried: Bool) -> [UInt8] {
    var batch = EncodedBatch()
    let changes: [(EntryKind, UInt32, String, String)] = [
      (.value, 0, "key", "value"), (.deletion, 1, "gone", ""), (.rangeDeletion, 0, "a", "b"),
      (.rangeDeletion, 300, "", ""), (.value, 0, "long", String(repeating: "x", count: 200)),
    ]
    for (number, (kind, keyspace, key, value)) in changes.enumerated() {
      Array(key.utf8).withView { key in
        Array(value.utf8).withView { value in
          if carried {
            batch.appendCarried(
              sequence: UInt64(number * 100 + 1), shard: 0, kind, keyspace: keyspace, key, value)
          } else {
            batch.append(kind, keyspace: keyspace, key, value)
          }
        }
      }
    }
    return batch.bytes
  }

  /// A segment with a frame of each kind, which follows the sample store's log.
  private static func writtenLog(compresses: Bool) -> [UInt8] {
    let identity = SampleStore.shared.lastSegment
    var bytes = [UInt8](repeating: 0, count: LogSegmentHeader.byteCount)
    // The sample's own header says where in the log the segment begins.
    for file in SampleStore.shared.files(.log) where file.number == identity.number {
      bytes = Array(file.bytes.prefix(LogSegmentHeader.byteCount))
    }
    let coder = FrameCoder(
      seed: ChecksumSeed(store: identity.store, fileNumber: identity.number))
    var sequence: UInt64 = 1000
    for kind in [FrameKind.commit, .carried, .commit, .seal] {
      let start = bytes.count
      let raw = kind == .seal ? [] : payload(carried: kind == .carried)
      var stored = raw
      var isCompressed = false
      if compresses, let packed = compressed(raw) {
        stored = packed
        isCompressed = true
      }
      FrameCoder.begin(
        &bytes, entryCount: raw.isEmpty ? 0 : 5, compressedFrom: isCompressed ? raw.count : nil)
      bytes += stored
      coder.seal(
        &bytes, from: start, at: UInt64(start), kind: kind, firstSequence: sequence,
        isCompressed: isCompressed, syncedPosition: 0)
      sequence += 5
    }
    return bytes
  }

  // MARK: - Manifest

  /// The payloads of a manifest's records, each behind its length, without the slots.
  private static func edits(in manifest: [UInt8]) -> [UInt8] {
    let bytes = ManifestForm.compacted(manifest)
    var result: [UInt8] = []
    var offset = 64
    while offset + ManifestRecord.headerByteCount <= bytes.count {
      let length = Int(bytes.load(offset + 16, as: UInt32.self))
      let start = offset + ManifestRecord.headerByteCount
      result.append(littleEndian: UInt16(length))
      result.append(contentsOf: bytes[start..<start + length])
      offset = start + length
    }
    return result
  }

  // MARK: - Tables

  private static let ranges = RangeTombstones(tombstones: [
    (Array("key2".utf8), Array("key3".utf8), 7), (Array("key25".utf8), Array("key5".utf8), 9),
  ])

  /// Tables of one block and of many, with old versions, tombstones and ranges, with ranges alone,
  /// and such as replace others.
  private static func tables() throws(StoreError) -> [[UInt8]] {
    var tables: [[UInt8]] = []
    for (count, options, hasRanges) in [
      (3, TableOptions(), false),
      (40, TableOptions(blockByteCount: 64, compresses: false, filterBitsPerKey: 10), true),
      (60, TableOptions(blockByteCount: 512, compresses: true, filterBitsPerKey: 0), false),
      (0, TableOptions(), true),
    ] {
      tables.append(try table(count, options, hasRanges: hasRanges))
    }
    for (inputs, gone) in [([1, 2, 5], []), ([], [3]), ([1], [2, 3])] as [([UInt64], [UInt64])] {
      let replacement = TableReplacement(group: 6, ordinal: 1, inputs: inputs, gone: gone)
      tables.append(try table(3, TableOptions(), hasRanges: false, replacement: replacement))
    }
    return tables
  }

  private static func table(
    _ count: Int, _ options: TableOptions, hasRanges: Bool, replacement: TableReplacement? = nil
  ) throws(StoreError) -> [UInt8] {
    let disk = SimulatedDisk()
    do throws(SystemError) {
      var writer = TableWriter(
        file: try disk.open("table", .create),
        identity: TableIdentity(store: StoreArchive.store, fileNumber: 7, keyspace: 0, shard: 0),
        options: options, replacement: replacement)
      do throws(StoreError) {
        for number in 0..<count {
          // Every fifth key has an older version, every seventh is deleted.
          for sequence in number % 5 == 0 ? [20, 10] : [UInt64(20)] {
            let isDeleted = number % 7 == 6
            let value = isDeleted ? "" : "value \(number) value \(number)"
            try Array("key\(100 + number)".utf8).withView { key throws(StoreError) in
              try Array(value.utf8).withView { value throws(StoreError) in
                try writer.add(
                  key, Tag(sequence: sequence, kind: isDeleted ? .deletion : .value), value)
              }
            }
          }
        }
        if hasRanges { writer.addRangeTombstones(ranges) }
        _ = try writer.finish()
      } catch { preconditionFailure("no table: \(error)") }
    } catch { throw StoreError(error) }
    return disk.contents("table") ?? []
  }

  /// The payload of one part of each table, as the target takes it.
  private static func parts(_ target: FuzzTarget) throws(StoreError) -> [[UInt8]] {
    var inputs: [[UInt8]] = []
    for bytes in try tables() {
      let footer = bytes.count - TableFormat.footerByteCount
      func part(_ number: Int) -> [UInt8] {
        let start = Int(bytes.load(footer + number * 24, as: UInt64.self))
        let count = Int(bytes.load(footer + number * 24 + 8, as: UInt64.self))
        return Array(bytes[start..<start + count - TableFormat.trailerByteCount])
      }
      switch target {
      case .filter: inputs.append(part(0))
      case .tombstones: inputs.append(part(1))
      case .index:
        let end = bytes.load(footer, as: UInt64.self)
        var input: [UInt8] = []
        input.append(littleEndian: UInt16(end - UInt64(TableFormat.headerByteCount)))
        inputs.append(input + part(2))
      case .properties: inputs.append(part(3))
      default:
        let file = try lone(bytes, as: "table")
        let reader = try TableReader(
          file: file, identity: try TableReader.readIdentity(file).identity, expecting: nil,
          cache: BlockCache(capacityByteCount: 0))
        if reader.index.count > 0 {
          let handle = reader.index.handle(0)
          let stored = try readAvailable(
            file, at: handle.offset, count: Int(handle.byteCount))
          let block = try checkBlock(
            stored, at: handle, seed: reader.seed,
            largest: Int(reader.properties.largestBlockByteCount), in: file)
          let payload = try OwnedBuffer.allocate(block.rawCount, for: "a seed")
          switch block.compression {
          case .none: payload.store(block.stored, at: 0)
          case .lz4: require(decompressLZ4(block.stored, into: payload), "a sound block is not LZ4")
          }
          inputs.append(payload.view.bytes())
        }
      }
    }
    return inputs
  }

  private static func lz4() -> [[UInt8]] {
    let raw = Array(String(repeating: "turbidite ", count: 30).utf8)
    let size = [UInt8(raw.count & 0xff), UInt8(raw.count >> 8), 0]
    return [size + (compressed(raw) ?? []), size + raw]
  }

  // MARK: - Stores and texts

  /// The sample store whole, without its table, without its manifest, and with its manifest alone.
  private static func archives() -> [[UInt8]] {
    func archive(_ kinds: [StoreArchive.Kind]) -> [UInt8] {
      var archive = StoreArchive()
      for kind in kinds {
        for file in SampleStore.shared.files(kind) {
          let bytes = kind == .manifest ? ManifestForm.compacted(file.bytes) : file.bytes
          archive.members.append(.init(kind: kind, number: file.number, bytes: bytes))
        }
      }
      return archive.encoded()
    }
    return [
      archive([.manifest, .log, .table]), archive([.manifest, .log]), archive([.log, .table]),
      archive([.manifest]),
    ] + extremes()
  }

  /// Manifests and a log whose counters stand at their ends: what a bit flip under a mended
  /// checksum rarely makes.
  private static func extremes() -> [[UInt8]] {
    func archive(_ change: (inout VersionEdit) -> Void, editNumber: UInt64 = 1) -> [UInt8] {
      var edit = VersionEdit()
      edit.nextFileNumber = 9
      edit.logFloor = 1
      edit.logFloorPosition = 0
      edit.nextKeyspaceID = 1
      edit.createdKeyspaces = [.init(id: 0, description: .default)]
      change(&edit)
      let payload = edit.encoded()
      var manifest = [UInt8](repeating: 0, count: 72)
      manifest.append(littleEndian: editNumber)
      manifest.append(littleEndian: UInt32(payload.count))
      manifest.append(littleEndian: UInt32(1))
      manifest += payload
      // A second record, empty: one more than the number before.
      manifest += [UInt8](repeating: 0, count: ManifestRecord.headerByteCount)
      let identity = SampleStore.shared.lastSegment
      let log = LogSegmentHeader(
        store: identity.store, number: 2, previousNumber: 0,
        basePosition: edit.logFloorPosition ?? 0, syncedPosition: 0,
        lastSequence: edit.lastSequence ?? 0)
      var archive = StoreArchive()
      archive.members = [
        .init(kind: .manifest, number: 1, bytes: manifest),
        .init(
          kind: .log, number: 2,
          bytes: log.encoded() + frames(from: edit.lastSequence ?? 0)),
      ]
      return archive.encoded()
    }
    return [
      archive { _ in },
      archive({ _ in }, editNumber: .max), archive({ _ in }, editNumber: .max - 2),
      archive { $0.nextFileNumber = 1 << 62 - 1 },
      archive { $0.lastSequence = Tag.maximumSequence },
      archive { $0.lastSequence = Tag.maximumSequence - 1 },
      archive { $0.logFloorPosition = .max }, archive { $0.logFloorPosition = .max - 255 },
      archive { $0.logFloor = .max }, archive { $0.nextKeyspaceID = .max },
      archive { $0.flushedSequences[TreeID(keyspace: 0, shard: 0)] = .max },
    ]
  }

  /// A frame that gives out one sequence number, if there is one behind `last`.
  private static func frames(from last: UInt64) -> [UInt8] {
    guard last < Tag.maximumSequence else { return [] }
    var batch = EncodedBatch()
    [0x6b].withView { batch.append(.value, keyspace: 0, $0, $0) }
    var bytes: [UInt8] = []
    FrameCoder.begin(&bytes, entryCount: 1, compressedFrom: nil)
    bytes += batch.bytes
    // The mending makes the checksum right.
    FrameCoder(seed: ChecksumSeed(store: StoreArchive.store, fileNumber: 2)).seal(
      &bytes, from: 0, at: 0, kind: .commit, firstSequence: last + 1, isCompressed: false,
      syncedPosition: 0)
    return bytes
  }

  private static let records = [
    Record(key: Array("key".utf8), value: Array("value".utf8)),
    Record(key: [0, 0x09, 0x0a, 0x5c, 0xff], value: []),
    Record(key: Array("é€😀".utf8), value: Array("\u{202e}\"\u{7f}".utf8)),
  ]

  private static func texts(_ format: RecordFormat) -> [[UInt8]] {
    [false, true].map { other in
      var text: [UInt8] = []
      for record in records {
        if format == .tsv {
          TabSeparated.append(record, encoding: other ? .utf8 : .escaped, to: &text)
        } else {
          ObjectLine.append(record, alwaysBase64: other, to: &text)
        }
      }
      return text
    }
      + (format == .tsv
        ? [] : [Array(#"{"value":"\ud83d\ude00\u0041\/\b","key":"a"}"#.utf8) + [10]])
  }

  /// A whole raw stream; its checksums are the mending's.
  private static func rawStream() -> [UInt8] {
    var bytes = RawStream.magic + RawStream.littleEndian(RawStream.version)
    for record in records {
      bytes += RawStream.littleEndian(UInt32(record.key.count))
      bytes += RawStream.littleEndian(UInt32(record.value.count))
      bytes += record.key + record.value + [0, 0, 0, 0]
    }
    bytes += RawStream.littleEndian(RawStream.end) + [UInt8](repeating: 0, count: 16)
    return Mending.rawStream(bytes)
  }
}
