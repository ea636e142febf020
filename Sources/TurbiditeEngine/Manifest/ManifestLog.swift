// ManifestLog — the file that says which files are the truth.
//
// Room:    Engine/Manifest.
// Format:  FORMAT.md section 6.
// Limits:  1 GiB a manifest; a new one is begun long before.

import TurbiditeSystem

/// The fixed start of a manifest.
private enum ManifestHeader {
  static let byteCount = 64
  static let magic: UInt64 = 0x464e_414d_5449_4254  // "TBITMANF", low byte first
  static let version: UInt32 = 1

  static func encoded(store: StoreID, number: UInt64) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.append(littleEndian: magic)
    bytes.append(littleEndian: version)
    bytes.append(littleEndian: UInt32(0))  // Features that a reader must understand.
    bytes.append(littleEndian: UInt32(0))  // Features that a reader may ignore.
    bytes.append(littleEndian: UInt32(0))  // Zero.
    bytes.append(littleEndian: store.high)
    bytes.append(littleEndian: store.low)
    bytes.append(littleEndian: number)
    bytes.append(littleEndian: UInt64(0))  // Zero.
    let seed = ChecksumSeed(store: store, fileNumber: number).at(0)
    bytes.append(littleEndian: bytes.withView { $0.hash(seed: seed) })
    assert(bytes.count == byteCount)
    return bytes
  }

  static func decode(
    _ bytes: ByteView, file: String
  ) throws(StoreError) -> (store: StoreID, number: UInt64) {
    func damaged(_ finding: String) -> StoreError {
      .corrupt(Damage(file: file, offset: 0, finding: finding))
    }
    guard bytes.count >= byteCount else { throw damaged("the file ends inside its header") }
    guard bytes.load(0, as: UInt64.self) == magic else {
      throw damaged("this is no manifest: its magic number is missing")
    }
    let store = StoreID(high: bytes.load(24, as: UInt64.self), low: bytes.load(32, as: UInt64.self))
    let number = bytes.load(40, as: UInt64.self)
    let seed = ChecksumSeed(store: store, fileNumber: number).at(0)
    guard bytes.slice(0, 56).hash(seed: seed) == bytes.load(56, as: UInt64.self) else {
      throw damaged("the manifest's header fails its checksum")
    }
    // Only now: a flipped bit in the version is damage, not a newer format.
    try requireReadable(
      file, version: bytes.load(8, as: UInt32.self), supported: version,
      requiredFeatures: bytes.load(12, as: UInt32.self))
    return (store, number)
  }
}

/// One record of a manifest, as found.
struct ManifestRecord {
  static let headerByteCount = 24

  var offset: Int
  var byteCount: Int
  var editNumber: UInt64
  var isSnapshot: Bool
  var edit: VersionEdit
}

/// A manifest as read from disk.
struct ManifestContents {
  var path: String
  var store: StoreID
  var number: UInt64
  var state = ManifestState()
  /// What a manifest begins with.
  static var magic: UInt64 { ManifestHeader.magic }

  /// The bytes of a last record that was not written whole.
  var tornByteCount = 0

  /// Reads all records of a manifest.
  ///
  /// A file under a manifest's final name was durable with its first record before it was given
  /// that name, so a bad first record is damage. Each later record was durable before the next was
  /// written, so only the last one may be torn.
  init(
    _ file: any File, each: (ManifestRecord) -> Void = { _ in }
  ) throws(StoreError) {
    path = file.path
    let size = try file.byteCount()
    guard size <= 1 << 30 else {
      throw .corrupt(Damage(file: path, offset: 0, finding: "a manifest of \(size) bytes"))
    }
    let buffer = try file.readBuffer(at: 0, count: Int(size))
    (store, number) = try ManifestHeader.decode(buffer.view, file: path)
    let seed = ChecksumSeed(store: store, fileNumber: number)
    var offset = ManifestHeader.byteCount
    var chain: UInt64 = 0
    var isFirst = true
    while offset < buffer.count {
      switch ManifestContents.record(in: buffer.view, at: offset, seed: seed, chain: chain) {
      case .failure(let finding):
        let isDamage =
          isFirst
          || ManifestContents.laterRecordExists(
            in: buffer.view, behind: offset, seed: seed, chain: chain)
        if isDamage { throw damage(offset, finding.text) }
        tornByteCount = buffer.count - offset
        return
      case .success(let (checksum, payload, editNumber, isSnapshot)):
        let edit: VersionEdit
        do throws(DecodingFailure) {
          edit = try VersionEdit(decoding: payload)
          try state.apply(edit)
        } catch {
          throw damage(offset, error.finding)
        }
        guard editNumber < Limits.counter, isSnapshot == isFirst,
          isFirst || editNumber == state.editNumber + 1
        else {
          throw damage(offset, "record \(editNumber) follows record \(state.editNumber)")
        }
        state.editNumber = editNumber
        let byteCount = ManifestRecord.headerByteCount + payload.count
        each(
          ManifestRecord(
            offset: offset, byteCount: byteCount, editNumber: editNumber, isSnapshot: isSnapshot,
            edit: edit))
        chain = checksum
        offset += byteCount
        isFirst = false
      }
    }
    if isFirst { throw damage(ManifestHeader.byteCount, "the manifest holds no record") }
    guard state.slots != nil else {
      throw damage(ManifestHeader.byteCount, "the manifest has no slot layout")
    }
  }

  private struct Finding: Error { var text: String }

  private static func record(
    in bytes: ByteView, at offset: Int, seed: ChecksumSeed, chain: UInt64
  ) -> Result<(UInt64, ByteView, UInt64, Bool), Finding> {
    let rest = bytes.count - offset
    guard rest >= ManifestRecord.headerByteCount else {
      return .failure(Finding(text: "the file ends inside a record's header"))
    }
    let checksum = bytes.load(offset, as: UInt64.self)
    let editNumber = bytes.load(offset + 8, as: UInt64.self)
    let length = Int(bytes.load(offset + 16, as: UInt32.self))
    let kind = bytes.load(offset + 20, as: UInt32.self)
    guard length <= rest - ManifestRecord.headerByteCount else {
      return .failure(Finding(text: "the file ends inside a record of \(length) bytes"))
    }
    let body = bytes.slice(offset + 8, ManifestRecord.headerByteCount - 8 + length)
    let computed = body.hash(seed: seed.at(UInt64(offset)) ^ chain)
    let isIntact = computed == checksum || planted(.ignoreManifestChecksum)
    guard isIntact, kind == 1 || kind == 2 else {
      return .failure(
        Finding(
          text: "record checksum stored \(hexadecimal(checksum)), computed \(hexadecimal(computed))"
        ))
    }
    let payload = bytes.slice(offset + ManifestRecord.headerByteCount, length)
    return .success((checksum, payload, editNumber, kind == 1))
  }

  /// Whether a valid record follows the bad one at `offset`, whose stored checksum and length are
  /// taken at their word: then the bad one was durable, and is damaged rather than torn.
  private static func laterRecordExists(
    in bytes: ByteView, behind offset: Int, seed: ChecksumSeed, chain: UInt64
  ) -> Bool {
    guard bytes.count - offset >= ManifestRecord.headerByteCount else { return false }
    let claimed = bytes.load(offset, as: UInt64.self)
    // The chain of the next record is this one's checksum: as stored, or as it would be computed
    // were the stored checksum itself the damaged part.
    var chains = [claimed]
    let length = Int(bytes.load(offset + 16, as: UInt32.self))
    if length <= bytes.count - offset - ManifestRecord.headerByteCount {
      let body = bytes.slice(offset + 8, ManifestRecord.headerByteCount - 8 + length)
      chains.append(body.hash(seed: seed.at(UInt64(offset)) ^ chain))
    }
    var next = offset + ManifestRecord.headerByteCount
    var budget = 4 * bytes.count
    while next + ManifestRecord.headerByteCount <= bytes.count, budget > 0 {
      let kind = bytes.load(next + 20, as: UInt32.self)
      if kind == 2 {
        budget -= Int(bytes.load(next + 16, as: UInt32.self)) * chains.count
        for chain in chains {
          if case .success = record(in: bytes, at: next, seed: seed, chain: chain) { return true }
        }
      }
      next += 1
    }
    return false
  }

  private func damage(_ offset: Int, _ finding: String) -> StoreError {
    .corrupt(Damage(file: path, offset: UInt64(offset), finding: finding))
  }
}

/// Writes one manifest.
///
/// Its methods are called by one thread at a time: the holder of the engine's manifest gate.
final class ManifestLog {
  let number: UInt64
  private let file: any File
  private let seed: ChecksumSeed
  private var offset: UInt64
  private var chain: UInt64
  /// The bytes of the first record: what a new manifest would cost.
  private let snapshotByteCount: UInt64
  /// Cleared by a failure after which it is unknown what the next open will find.
  private(set) var isCertain = true

  /// Writes a new manifest that holds `state`, durably, and gives it its final name.
  init(
    fileSystem: any FileSystem, store: StoreID, number: UInt64, state: ManifestState
  ) throws(StoreError) {
    self.number = number
    seed = ChecksumSeed(store: store, fileNumber: number)
    let path = FileNames.manifest(number)
    file = try fileSystem.openFile(path + FileNames.temporarySuffix, .create)
    var bytes = ManifestHeader.encoded(store: store, number: number)
    offset = UInt64(bytes.count)
    let record = ManifestLog.record(
      state.snapshot(), editNumber: state.editNumber, isSnapshot: true, at: offset, seed: seed,
      chain: 0)
    bytes.append(contentsOf: record.bytes)
    do throws(StoreError) {
      try file.writeBytes(bytes, at: 0)
      if !planted(.skipNewManifestSync) { try file.syncBytes() }
    } catch {
      // Tried again and again on a full disk, each attempt would leave a file.
      ManifestLog.discard(path + FileNames.temporarySuffix, fileSystem)
      throw error
    }
    try fileSystem.publish(path + FileNames.temporarySuffix, as: path, in: "")
    offset = UInt64(bytes.count)
    chain = record.checksum
    snapshotByteCount = UInt64(record.bytes.count)
  }

  private static func discard(_ path: String, _ fileSystem: any FileSystem) {
    do throws(SystemError) { try fileSystem.remove(path) } catch {
      // The next open removes it; what failed first is what counts.
    }
  }

  /// Whether the edits outweigh the state so far that a new manifest would be shorter to read.
  var shouldBeReplaced: Bool { offset > 1 << 20 && offset > 8 * snapshotByteCount }

  /// Appends one edit, durably.
  ///
  /// - Throws: with ``isCertain`` still set the edit is not in the file, which is as before: a full
  ///   disk does this. Otherwise it is unknown whether the next open will find the edit, and this
  ///   manifest must not be used again.
  func append(_ edit: VersionEdit, editNumber: UInt64) throws(StoreError) {
    let record = ManifestLog.record(
      edit, editNumber: editNumber, isSnapshot: false, at: offset, seed: seed, chain: chain)
    isCertain = false
    do throws(StoreError) { try file.writeBytes(record.bytes, at: offset) } catch {
      // All but a last byte that is zero may have reached the disk, and the next edit may bring the
      // size that it lacks: only once the cut is durable nothing of it will be found.
      do throws(SystemError) {
        try file.truncate(to: offset)
        try file.sync()
        isCertain = true
      } catch {
        throw StoreError(error)
      }
      throw error
    }
    if !planted(.skipManifestSync) { try file.syncBytes() }
    isCertain = true
    offset += UInt64(record.bytes.count)
    chain = record.checksum
  }

  private static func record(
    _ edit: VersionEdit, editNumber: UInt64, isSnapshot: Bool, at offset: UInt64,
    seed: ChecksumSeed, chain: UInt64
  ) -> (bytes: [UInt8], checksum: UInt64) {
    let payload = edit.encoded()
    var bytes = [UInt8](repeating: 0, count: 8)
    bytes.append(littleEndian: editNumber)
    bytes.append(littleEndian: UInt32(payload.count))
    bytes.append(littleEndian: UInt32(isSnapshot ? 1 : 2))
    bytes.append(contentsOf: payload)
    let checksum = bytes.withView { view in
      view.slice(8, view.count - 8).hash(seed: seed.at(offset) ^ chain)
    }
    bytes.store(checksum, at: 0)
    return (bytes, checksum)
  }
}
