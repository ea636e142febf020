// StoreArchive — the files of a small store as one input.
//
// Room:    Fuzzers.
// Format:  One byte of flags, then files: kind (1: manifest, log, table, by the remainder of 3),
//          number (1), byte count (2, low byte first), the bytes. A count beyond the end means the
//          rest. Manifests are in the form of ManifestForm, and the flags' lowest bit set leaves
//          all files as they are.

@testable import TurbiditeEngine

/// Some files of a store.
struct StoreArchive {
  /// The store that all mended files belong to.
  static let store = StoreID(high: 0x7475_7262_6964_6974, low: 1)

  enum Kind: UInt8 {
    case manifest = 0
    case log = 1
    case table = 2
  }

  struct Member {
    var kind: Kind
    var number: UInt64
    var bytes: [UInt8]

    var path: String {
      switch kind {
      case .manifest: FileNames.manifest(number)
      case .log: FileNames.logSegment(number)
      case .table: FileNames.table(shard: 0, number)
      }
    }
  }

  var isMended = true
  var members: [Member] = []

  init() {}

  /// Nil for an empty input; every other one is an archive.
  init?(decoding input: [UInt8]) {
    guard let flags = input.first else { return nil }
    isMended = flags & 1 == 0
    var offset = 1
    while offset + 4 <= input.count, members.count < 16 {
      let kind = Kind(rawValue: input[offset] % 3) ?? .manifest
      let count = min(Int(input.load(offset + 2, as: UInt16.self)), input.count - offset - 4)
      members.append(
        Member(
          kind: kind, number: UInt64(input[offset + 1]),
          bytes: Array(input[offset + 4..<offset + 4 + count])))
      offset += 4 + count
    }
  }

  func encoded() -> [UInt8] {
    var bytes: [UInt8] = [isMended ? 0 : 1]
    for member in members {
      bytes.append(member.kind.rawValue)
      bytes.append(UInt8(truncatingIfNeeded: member.number))
      bytes.append(littleEndian: UInt16(clamping: member.bytes.count))
      bytes.append(contentsOf: member.bytes.prefix(Int(UInt16.max)))
    }
    return bytes
  }

  /// The files to write: checksums right, and what manifests say of tables true of the tables.
  func mended() -> [(path: String, bytes: [UInt8])] {
    guard isMended else { return members.map { ($0.path, $0.bytes) } }
    var tables: [UInt64: TableExpectation] = [:]
    var files: [(path: String, bytes: [UInt8])] = []
    for member in members {
      let identity = FileIdentity(store: StoreArchive.store, number: member.number)
      switch member.kind {
      case .manifest: continue
      case .log: files.append((member.path, Mending.log(member.bytes, as: identity)))
      case .table:
        let bytes = Mending.table(member.bytes, as: identity)
        if bytes.count >= 8 {
          tables[member.number] = TableExpectation(
            byteCount: UInt64(bytes.count),
            footerChecksum: bytes.load(bytes.count - 8, as: UInt64.self))
        }
        files.append((member.path, bytes))
      }
    }
    for member in members where member.kind == .manifest {
      let identity = FileIdentity(store: StoreArchive.store, number: member.number)
      let bytes = StoreArchive.expecting(tables, in: member.bytes)
      files.append((member.path, ManifestForm.expanded(bytes, as: identity)))
    }
    return files
  }

  /// A manifest whose edits expect the tables as they are.
  private static func expecting(
    _ tables: [UInt64: TableExpectation], in manifest: [UInt8]
  ) -> [UInt8] {
    var offset = 64
    var bytes = Array(manifest.prefix(offset))
    while offset + ManifestRecord.headerByteCount <= manifest.count {
      let start = offset + ManifestRecord.headerByteCount
      let length = min(
        Int(manifest.load(offset + 16, as: UInt32.self)), manifest.count - start)
      var header = Array(manifest[offset..<start])
      var payload = Array(manifest[start..<start + length])
      do throws(DecodingFailure) {
        var edit = try payload.withView { bytes throws(DecodingFailure) in
          try VersionEdit(decoding: bytes)
        }
        var isChanged = false
        for index in edit.addedTables.indices {
          guard let table = tables[edit.addedTables[index].table.fileNumber] else { continue }
          edit.addedTables[index].table.summary.byteCount = table.byteCount
          edit.addedTables[index].table.summary.footerChecksum = table.footerChecksum
          isChanged = true
        }
        if isChanged { payload = edit.encoded() }
      } catch {
        // No edit: it is left to the reader, which must refuse it.
        header.store(UInt32(length), at: 16)
      }
      header.store(UInt32(payload.count), at: 16)
      bytes += header
      bytes += payload
      offset = start + length
    }
    bytes += manifest.dropFirst(offset)
    return bytes
  }
}
