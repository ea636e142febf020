// LogWriter — appends frames to the commit log, syncs it, and knows which segments exist.
//
// Room:    Engine/Log.
// Format:  FORMAT.md section 4.
// Source:  Preallocation: measured here, a sync of a preallocated file costs two thirds of one of a
//          growing file. PostgreSQL fills its segments with zeros; see decision 0036. Segments are
//          not recycled: old frames under new headers have led other engines to replay the past
//          (RocksDB issues 6351 and 12403).

import Synchronization
import TurbiditeSystem

/// The end of the log that grows.
///
/// Invariants:
/// 1. `append` and `close` are called by one thread at a time, the leader of the commit queue,
///    whose hand-over orders their memory. All that other threads may see are the atomics and
///    what lies in `shared`.
/// 2. `end` is the end of the last frame that was written whole. A segment is in `shared` before
///    `end` passes its beginning, so that whoever reads `end` first finds all segments up to it.
/// 3. Segments in `shared.segments` are in log order, and join: each begins where the one before
///    ends.
///
final class LogWriter: Sendable {
  /// A segment that exists.
  struct Segment {
    var number: UInt64
    var basePosition: UInt64
    /// Open while it may hold bytes that are not durable; nil once they are.
    var unsynced: (any File)?
  }

  struct Shared {
    var segments: [Segment] = []
    /// Where the newest segment ends, when it takes no further frames.
    var newestEnd: UInt64?
    /// While an opening replays the log, the segment from which on no memtable has it yet.
    var replaysFrom: UInt64?
    /// The log's directory while the name of the newest segment is not durable; opened before the
    /// segment was made, so that a sync needs no handle: a want of one would leave writes in doubt.
    var unsyncedDirectory: (any Directory)?
  }

  /// What the leader alone uses.
  private struct Leading {
    var file: (any File)?
    var number: UInt64
    var offset: UInt64 = 0
    var allocatedByteCount: UInt64 = 0
    /// Up to here zeros were written ahead of frames.
    var zeroedByteCount: UInt64 = 0
    /// The last frame was synced.
    var wasSynced = false
    var scratch: [UInt8] = []
    /// Made for the first frame that is compressed.
    var compressor: Compressor?
    var trials = CompressionTrials()
  }

  private let fileSystem: any FileSystem
  private let store: StoreID
  private let segmentByteCount: UInt64
  private let compresses: Bool
  private let rarePaths: RarePaths
  private let nextNumber: @Sendable () -> UInt64
  private let shared: Mutex<Shared>
  /// Where the log ends; moved by the leader alone.
  private let end: Atomic<UInt64>
  /// Everything below is durable; moved under the mutex.
  private let syncedEnd: Atomic<UInt64>
  /// Where the oldest segment begins, or `UInt64.max` when there is none; moved under the mutex.
  private let start: Atomic<UInt64>
  private let leading: LeaderOwned<Leading>

  /// A writer that goes on behind a recovered log.
  ///
  /// - Parameter nextNumber: gives out file numbers that were never used.
  init(
    fileSystem: any FileSystem, store: StoreID, segmentByteCount: Int, compresses: Bool,
    log: RecoveredLog, rarePaths: RarePaths, nextNumber: @escaping @Sendable () -> UInt64
  ) {
    self.fileSystem = fileSystem
    self.store = store
    self.segmentByteCount = UInt64(segmentByteCount)
    self.compresses = compresses
    self.rarePaths = rarePaths
    self.nextNumber = nextNumber
    shared = Mutex(
      Shared(
        segments: log.parts.map { .init(number: $0.number, basePosition: $0.basePosition) },
        newestEnd: log.endPosition))
    end = Atomic(log.endPosition)
    syncedEnd = Atomic(log.syncedPosition)
    start = Atomic(log.parts.first?.basePosition ?? .max)
    leading = LeaderOwned(Leading(number: log.parts.last?.number ?? 0))
  }

  // MARK: - What anyone may ask

  var position: UInt64 { end.load(ordering: .acquiring) }
  var syncedPosition: UInt64 { syncedEnd.load(ordering: .acquiring) }
  var segmentCount: Int { shared.withLock { $0.segments.count } }

  /// The segments that a replay would read, in log order.
  var segmentNumbers: [UInt64] { shared.withLock { $0.segments.map(\.number) } }

  /// The bytes that a replay would read.
  var liveByteCount: UInt64 {
    let (position, start) = (position, start.load(ordering: .relaxed))
    return position - min(start, position)
  }

  /// The bytes that a power loss could take.
  var unsyncedByteCount: UInt64 {
    // In this order, as what is durable was written before.
    let synced = syncedPosition
    return position - synced
  }

  /// The number and position where a replay must begin when nothing older is needed: the segment
  /// that grows, or the one that will be made next.
  var nextSegment: (number: UInt64, position: UInt64) {
    shared.withLock { shared in
      if let first = shared.replaysFrom, !planted(.logFloorTooHigh),
        let segment = shared.segments.first(where: { $0.number >= first })
      {
        return (segment.number, segment.basePosition)
      }
      guard let last = shared.segments.last else { return (0, position) }
      if let end = shared.newestEnd { return (last.number + 1, end) }
      return (last.number, last.basePosition)
    }
  }

  /// Says that segments from `number` on are still to be put into memtables; nil when none is.
  ///
  /// Until then the log's floor may not pass them: no memtable speaks for them.
  func replays(from number: UInt64?) { shared.withLock { $0.replaysFrom = number } }

  /// The number of the oldest segment, or nil when there is none.
  var oldestSegment: UInt64? { shared.withLock { $0.segments.first?.number } }

  /// The first segment that is not older than `number`, and where it begins.
  ///
  /// What a recovery put into memtables names the segment that it was read from; that one may have
  /// been superseded by the tail that was written anew, which has a larger number.
  func firstSegment(from number: UInt64) -> (number: UInt64, position: UInt64)? {
    shared.withLock { shared in
      shared.segments.first { $0.number >= number }.map { ($0.number, $0.basePosition) }
    }
  }

  /// Forgets the segments below `floor` and returns their numbers: nothing needs them any more.
  func forgetSegments(below floor: UInt64) -> [UInt64] {
    shared.withLock { shared in
      let obsolete = shared.segments.prefix { $0.number < floor }.map(\.number)
      shared.segments.removeFirst(obsolete.count)
      noteStart(shared)
      return obsolete
    }
  }

  private func noteStart(_ shared: Shared) {
    start.store(shared.segments.first?.basePosition ?? .max, ordering: .relaxed)
  }

  // MARK: - Appending, by the leader

  /// The number of the segment that the last frame went to.
  var currentSegment: UInt64 { leading.change { $0.number } }

  /// The segment that further frames go to, and where its last frame ends; nil when none is open.
  var openSegment: (number: UInt64, byteCount: UInt64)? {
    leading.change { $0.file == nil ? nil : ($0.number, $0.offset) }
  }

  /// Appends one frame that holds `batches`, and hands it to the operating system.
  ///
  /// - Parameter isSynced: the disk is waited for next, beside which compressing takes no time.
  /// - Returns: whether a new segment was begun for it.
  /// - Throws: nothing was appended then, unless the error is
  ///   ``StoreError/durabilityLost(operation:path:code:)``.
  func append(
    _ batches: [EncodedBatch], kind: FrameKind, firstSequence: UInt64, lastSequence: UInt64,
    isSynced: Bool
  ) throws(StoreError) -> Bool {
    try leading.change { leading throws(StoreError) in
      try append(
        batches, kind: kind, firstSequence: firstSequence, lastSequence: lastSequence,
        isSynced: isSynced, &leading)
    }
  }

  private func append(
    _ batches: [EncodedBatch], kind: FrameKind, firstSequence: UInt64, lastSequence: UInt64,
    isSynced: Bool, _ leading: inout Leading
  ) throws(StoreError) -> Bool {
    leading.scratch.removeAll(keepingCapacity: leading.scratch.capacity <= 4 << 20)
    var rawByteCount = 0
    var entryCount = 0
    for batch in batches {
      rawByteCount += batch.bytes.count
      entryCount += batch.entryCount
    }
    precondition(rawByteCount <= Limits.batchByteCount)
    FrameCoder.begin(&leading.scratch, entryCount: entryCount, compressedFrom: nil)
    for batch in batches { batch.bytes.withView { leading.scratch.append($0) } }
    var isCompressed = false
    if compresses && isWorthCompressing(rawByteCount, isSynced: isSynced, &leading) {
      isCompressed = try compress(rawByteCount, &leading)
      if rawByteCount >= Self.longByteCount { leading.trials.note(isCompressed) }
    }
    let byteCount = UInt64(
      FrameCoder.paddedByteCount(leading.scratch.count - LogFrame.headerByteCount))
    let rotates =
      leading.file == nil
      || (leading.offset + byteCount > segmentByteCount || rarePaths.takes(.rotateLog))
        && leading.offset > UInt64(LogSegmentHeader.byteCount)
    if rotates { try rotate(lastSequence: lastSequence, &leading) }
    try write(
      kind: kind, firstSequence: firstSequence, isCompressed: isCompressed, isSynced: isSynced,
      &leading)
    return rotates
  }

  /// From here on what compressing a frame takes is in proportion to its bytes.
  private static let longByteCount = 8 << 10

  /// Whether compressing a frame takes no longer than what it saves.
  ///
  /// Beside the system call it takes little for a short frame (decision 0029), and beside the disk
  /// for any. A long one saves as much of the page cache and of the disk later (decision 0037); one
  /// in between does not, for want of bytes.
  private func isWorthCompressing(
    _ rawByteCount: Int, isSynced: Bool, _ leading: inout Leading
  ) -> Bool {
    if rawByteCount <= Compressor.shortByteCount || isSynced { return true }
    return rawByteCount >= Self.longByteCount && leading.trials.isDue()
  }

  /// Compresses the entries at the end of the frame in `scratch` when that saves an eighth.
  private func compress(
    _ rawByteCount: Int, _ leading: inout Leading
  ) throws(StoreError) -> Bool {
    if leading.compressor == nil { leading.compressor = try Compressor() }
    let compressor = leading.compressor
    let stored = try leading.scratch.withView { frame throws(StoreError) in
      try compressor?.compress(frame.slice(frame.count - rawByteCount, rawByteCount))
    }
    // A short frame may not even save the four bytes of its raw length.
    guard let stored, stored.count + 4 < rawByteCount else { return false }
    leading.scratch.removeLast(rawByteCount)
    leading.scratch.append(littleEndian: UInt32(rawByteCount))
    leading.scratch.append(stored)
    return true
  }

  /// Seals the frame in `scratch` and writes it at the end of the current segment.
  private func write(
    kind: FrameKind, firstSequence: UInt64, isCompressed: Bool, isSynced: Bool = false,
    _ leading: inout Leading
  ) throws(StoreError) {
    guard let file = leading.file else { preconditionFailure("no segment is open") }
    let synced = planted(.claimSyncedTooEarly) ? position : syncedPosition
    FrameCoder(seed: ChecksumSeed(store: store, fileNumber: leading.number)).seal(
      &leading.scratch, from: 0, at: leading.offset, kind: kind, firstSequence: firstSequence,
      isCompressed: isCompressed, syncedPosition: synced)
    let end = leading.offset + UInt64(leading.scratch.count)
    var wasBegun = false
    do throws(SystemError) {
      try allocate(file, through: end, &leading)
      wasBegun = true
      if isSynced && leading.wasSynced { writeZeros(file, behind: end, &leading) }
      leading.wasSynced = isSynced
      try file.write(leading.scratch.span.rawBytes, at: leading.offset)
    } catch {
      try cutAfterFailedWrite(file, error, wasBegun: wasBegun, &leading)
    }
    let byteCount = end - leading.offset
    leading.offset = end
    self.end.store(position + byteCount, ordering: .releasing)
  }

  /// Gives the file room up to `end`, and beyond it where the disk has some.
  private func allocate(
    _ file: any File, through end: UInt64, _ leading: inout Leading
  ) throws(SystemError) {
    guard end > leading.allocatedByteCount else { return }
    let target = max(end, min(segmentByteCount, max(64 << 10, leading.allocatedByteCount * 2)))
    do throws(SystemError) {
      try file.preallocate(through: target)
      leading.allocatedByteCount = target
    } catch {
      // The last of a disk's room is for what is there to be written, not for what may come.
      guard error.cause == .space, target > end else { throw error }
      try file.preallocate(through: end)
      leading.allocatedByteCount = end
    }
  }

  /// How far zeros are written ahead of frames that are synced (decision 0036).
  private static let zeroedAheadByteCount: UInt64 = 256 << 10

  /// Writes zeros to the blocks behind a frame that ends at `end`, for those that follow.
  ///
  /// The sync of a block that was allocated and never written waits for the file system's journal,
  /// too. A long frame brings so many blocks that writing them twice takes longer than that.
  private func writeZeros(_ file: any File, behind end: UInt64, _ leading: inout Leading) {
    let isLong = end - leading.offset > Self.zeroedAheadByteCount / 2
    guard end > leading.zeroedByteCount, !isLong else { return }
    let target = min(leading.allocatedByteCount, end + Self.zeroedAheadByteCount)
    // The block in which the frame ends is written with it.
    let start = (end + 4095) / 4096 * 4096
    if start < target { file.writeZeros(from: start, to: target) }
    leading.zeroedByteCount = target
  }

  /// Takes room on the disk for a frame of `byteCount` bytes, in the segment that it would go to.
  ///
  /// - Returns: whether a new segment was begun for it.
  /// - Throws: as ``append(_:kind:firstSequence:lastSequence:compresses:)``.
  func takeRoom(for byteCount: Int, lastSequence: UInt64) throws(StoreError) -> Bool {
    try leading.change { leading throws(StoreError) in
      try takeRoom(for: byteCount, lastSequence: lastSequence, &leading)
    }
  }

  private func takeRoom(
    for byteCount: Int, lastSequence: UInt64, _ leading: inout Leading
  ) throws(StoreError) -> Bool {
    let padded = UInt64(
      FrameCoder.paddedByteCount(byteCount + FrameCoder.largestPrefixByteCount))
    let rotates =
      leading.file == nil
      || leading.offset + padded > segmentByteCount
        && leading.offset > UInt64(LogSegmentHeader.byteCount)
    if rotates { try rotate(lastSequence: lastSequence, &leading) }
    guard let file = leading.file else { preconditionFailure("no segment is open") }
    do throws(SystemError) {
      try allocate(file, through: leading.offset + padded, &leading)
    } catch {
      throw StoreError(error)
    }
    return rotates
  }

  /// Removes what a failed write may have left, durably, so that the next frame follows the last
  /// good one and this one is never found.
  ///
  /// All of the frame but its padding may have arrived, and zeros stand where the padding should
  /// be: it is whole then. A cut in the cache alone would not do. The system may have written the
  /// frame to the disk before it, and a loss of power forget both the cut and what is written there
  /// next.
  ///
  /// - Parameter wasBegun: some of the frame may be in the file; without, there is only room to
  ///   give back, and a full disk that refuses one write after the other costs no syncs.
  private func cutAfterFailedWrite(
    _ file: any File, _ failure: SystemError, wasBegun: Bool, _ leading: inout Leading
  ) throws(StoreError) -> Never {
    do throws(SystemError) {
      if !planted(.keepFailedFrame) { try file.truncate(to: leading.offset) }
      leading.allocatedByteCount = leading.offset
      leading.zeroedByteCount = 0
      if wasBegun && !planted(.cutFailedFrameInCache) { try file.sync() }
    } catch {
      throw StoreError(sync: failure)
    }
    throw StoreError(failure)
  }

  /// Ends the current segment, if any, and begins the next one.
  private func rotate(lastSequence: UInt64, _ leading: inout Leading) throws(StoreError) {
    // The frame in hand waits in `scratch`; the seal is built beside it.
    let frame = leading.scratch
    defer { leading.scratch = frame }
    if leading.file != nil { try sealCurrentSegment(&leading) }
    let number = nextNumber()
    let base = position
    // Also when that one is gone: an older one that comes back is then known to miss what followed.
    let header = LogSegmentHeader(
      store: store, number: number, previousNumber: leading.number, basePosition: base,
      syncedPosition: syncedPosition, lastSequence: lastSequence)
    leading.allocatedByteCount = 0
    leading.zeroedByteCount = 0
    leading.wasSynced = false
    leading.offset = 0
    let directory = try fileSystem.openNames(FileNames.logDirectory)
    let file = try fileSystem.openFile(FileNames.logSegment(number), .create)
    do throws(SystemError) {
      let bytes = header.encoded()
      try allocate(file, through: UInt64(bytes.count), &leading)
      try file.write(bytes.span.rawBytes, at: 0)
    } catch {
      discard(FileNames.logSegment(number))
      throw StoreError(error)
    }
    leading.file = file
    leading.number = number
    leading.offset = UInt64(LogSegmentHeader.byteCount)
    shared.withLock {
      $0.segments.append(.init(number: number, basePosition: base, unsynced: file))
      $0.newestEnd = nil
      $0.unsyncedDirectory = directory
      noteStart($0)
    }
  }

  /// Removes a file that could not be begun: each attempt on a full disk would leave one.
  private func discard(_ path: String) {
    do throws(SystemError) { try fileSystem.remove(path) } catch {
      // Nothing refers to it, and the next open removes it.
    }
  }

  private func sealCurrentSegment(_ leading: inout Leading) throws(StoreError) {
    leading.scratch = []
    FrameCoder.begin(&leading.scratch, entryCount: 0, compressedFrom: nil)
    try write(kind: .seal, firstSequence: 0, isCompressed: false, &leading)
    guard let file = leading.file else { return }
    leading.file = nil
    shared.withLock { $0.newestEnd = position }
    do throws(SystemError) { try file.truncate(to: leading.offset) } catch {
      throw StoreError(error)
    }
  }

  /// Ends the current segment, so that it can go as soon as what it holds is in tables.
  ///
  /// - Throws: as ``append(_:kind:firstSequence:lastSequence:isSynced:)``.
  func endSegment() throws(StoreError) {
    try leading.change { leading throws(StoreError) in
      if leading.file != nil { try sealCurrentSegment(&leading) }
    }
  }

  // MARK: - Durability

  /// Makes every frame that is written now durable.
  ///
  /// Any thread may call it; several may at once.
  ///
  /// - Throws: ``StoreError/durabilityLost(operation:path:code:)``; the caller must stop writing.
  func sync() throws(StoreError) {
    // In this order, by invariant 2.
    let target = position
    let (files, directory) = shared.withLock {
      ($0.segments.compactMap(\.unsynced), $0.unsyncedDirectory)
    }
    guard target > syncedPosition || directory != nil else { return }
    do throws(SystemError) {
      let chosen = planted(.syncOldestSegmentOnly) ? Array(files.prefix(1)) : files
      if !planted(.skipLogSync) { for file in chosen { try file.sync() } }
      if !planted(.skipLogDirectorySync) { try directory?.sync() }
    } catch {
      if !planted(.ignoreLogSyncFailure) { throw StoreError(sync: error) }
    }
    shared.withLock { shared in
      syncedEnd.store(max(syncedPosition, target), ordering: .releasing)
      // Only the newest segment can have grown meanwhile, and only if none was begun behind it.
      for index in shared.segments.indices.dropLast()
      where shared.segments[index + 1].basePosition <= target {
        shared.segments[index].unsynced = nil
      }
      if let last = shared.segments.last, last.basePosition <= target, directory != nil,
        files.contains(where: { $0 === last.unsynced })
      {
        shared.unsyncedDirectory = nil
      }
    }
  }

  /// Makes everything durable, ends the current segment with a seal and makes that durable, too:
  /// from then on any damage in the log is told from a torn tail.
  func close() throws(StoreError) {
    if planted(.closeWithoutSync) { return }
    try sync()
    let wasOpen = try leading.change { leading throws(StoreError) -> Bool in
      guard leading.file != nil else { return false }
      try sealCurrentSegment(&leading)
      return true
    }
    if wasOpen { try sync() }
  }

  // MARK: - Recovery

  /// Writes the tail of a recovered log anew, durably, as a segment that supersedes it.
  ///
  /// What the page cache shows of a log that an earlier process wrote may not be on disk, and a
  /// sync now would not tell: a failed one may have been reported to that process. Written again,
  /// it is certain.
  func rewriteTail(
    of log: RecoveredLog, with recovery: LogRecovery
  ) throws(StoreError) {
    guard log.endPosition > log.syncedPosition, !planted(.keepUnsyncedTail) else { return }
    let number = nextNumber()
    let path = FileNames.logSegment(number)
    let header = LogSegmentHeader(
      store: store, number: number, previousNumber: log.parts.last?.number ?? 0,
      basePosition: log.syncedPosition, syncedPosition: log.syncedPosition,
      lastSequence: log.lastSequence)
    let coder = FrameCoder(seed: ChecksumSeed(store: store, fileNumber: number))
    let file = try fileSystem.openFile(path + FileNames.temporarySuffix, .create)
    let written: UInt64
    do throws(StoreError) {
      written = try writeTail(of: log, with: recovery, header, coder, to: file)
    } catch {
      // An opening that finds no room is tried again, and must not be in its own way.
      discard(path + FileNames.temporarySuffix)
      throw error
    }
    try fileSystem.publish(path + FileNames.temporarySuffix, as: path, in: FileNames.logDirectory)
    adopt(header, byteCount: written)
  }

  private func writeTail(
    of log: RecoveredLog, with recovery: LogRecovery, _ header: LogSegmentHeader,
    _ coder: FrameCoder, to file: any File
  ) throws(StoreError) -> UInt64 {
    var pending = header.encoded()
    var written: UInt64 = 0
    try recovery.tail(of: log) { frame throws(StoreError) in
      let start = pending.count
      FrameCoder.begin(
        &pending, entryCount: frame.entryCount,
        compressedFrom: frame.isCompressed ? frame.rawByteCount : nil)
      pending.append(frame.stored)
      coder.seal(
        &pending, from: start, at: written + UInt64(start), kind: frame.kind,
        firstSequence: frame.firstSequence, isCompressed: frame.isCompressed,
        syncedPosition: log.syncedPosition)
      if pending.count > 1 << 20 {
        try file.writeBytes(pending, at: written)
        written += UInt64(pending.count)
        pending.removeAll(keepingCapacity: true)
      }
    }
    try file.writeBytes(pending, at: written)
    written += UInt64(pending.count)
    try file.syncBytes()
    return written
  }

  private func adopt(_ header: LogSegmentHeader, byteCount: UInt64) {
    leading.change { $0.number = header.number }
    shared.withLock { shared in
      // Segments that begin at or behind the new one hold nothing that counts.
      shared.segments.removeAll { $0.basePosition >= header.basePosition }
      shared.segments.append(.init(number: header.number, basePosition: header.basePosition))
      noteStart(shared)
      let position = header.basePosition + byteCount - UInt64(LogSegmentHeader.byteCount)
      shared.newestEnd = position
      end.store(position, ordering: .releasing)
      syncedEnd.store(position, ordering: .releasing)
    }
  }
}
