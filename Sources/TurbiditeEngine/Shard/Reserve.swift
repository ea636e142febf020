// Reserve — room on the disk that is held back for what makes room.
//
// Room:    Engine/Shard.
// Format:  FORMAT.md section 7.2. The file's bytes mean nothing.
// Limits:  Where a file system gives out room that it does not have, or keeps what a file gave up,
//          there is no reserve.

import Synchronization
import TurbiditeSystem

/// The file RESERVE, and whether it is whole.
///
/// Any thread may ask; one at a time changes the file, whoever holds the gate.
final class Reserve: Sendable {
  private struct State {
    /// What the file holds, or held before it was given up.
    var byteCount: UInt64 = 0
    /// Why it was given up; nil while it is whole, or was never made.
    var refusal: StoreError?
  }

  private let fileSystem: any FileSystem
  private let scheduler: any Scheduler
  private let isHeld = Mutex(false)
  private let state = Mutex(State())
  private let released = Atomic<Bool>(false)

  init(_ fileSystem: any FileSystem, _ scheduler: any Scheduler) {
    self.fileSystem = fileSystem
    self.scheduler = scheduler
  }

  /// It was given up, and what it was held back for goes on: only what makes room may be written.
  var isReleased: Bool { released.load(ordering: .acquiring) }

  var refusal: StoreError? { state.withLock { $0.refusal } }

  /// What the file holds, or held before it was given up; 0 before it is known.
  var byteCount: UInt64 { state.withLock { $0.byteCount } }

  /// Finds out, at an opening, whether the process before had to give the room up.
  func findOut() throws(StoreError) {
    do throws(SystemError) {
      guard try fileSystem.open(FileNames.reserve, .read).size() == 0 else { return }
    } catch {
      // One that may not be read is as good as none: it is replaced when it is wanted.
      if error.isAbsent || error.cause == .permission { return }
      throw StoreError(error)
    }
    let refusal = StoreError.outOfSpace(
      operation: "fallocate", path: FileNames.reserve, code: SystemError.noSpaceCode)
    state.withLock { $0.refusal = refusal }
    released.store(true, ordering: .releasing)
  }

  /// Goes on without the room.
  func doWithout() {
    state.withLock { $0 = State() }
    released.store(false, ordering: .releasing)
  }

  /// Makes the file hold so many bytes at least.
  ///
  /// It is made durable so that it is there after a crash; a smaller one would do no harm.
  ///
  /// - Parameters:
  ///   - givesBack: it is to hold no more than that, either.
  ///   - takesBack: also when it was given up meanwhile.
  func restore(
    through byteCount: UInt64, givingBack givesBack: Bool = false, takingBack takesBack: Bool
  ) throws(StoreError) {
    // Known to be so: nothing to ask the disk for.
    if givesBack && state.withLock({ $0.byteCount == byteCount && $0.refusal == nil }) { return }
    try withGate { () throws(StoreError) in
      if isReleased && !takesBack { return }
      var held: UInt64 = 0
      do throws(SystemError) {
        let file = try openForWriting()
        held = try file.size()
        if held < byteCount {
          try file.preallocate(through: byteCount)
          held = byteCount
          try file.sync()
          try fileSystem.syncDirectory("")
        } else if givesBack && held > byteCount {
          try file.truncate(to: byteCount)
          held = byteCount
        }
      } catch {
        throw StoreError(error)
      }
      state.withLock { $0 = State(byteCount: held) }
      released.store(false, ordering: .releasing)
    }
  }

  /// Gives the room up.
  ///
  /// - Returns: whether there was any.
  func release(after refusal: StoreError) throws(StoreError) -> Bool {
    try withGate { () throws(StoreError) in
      guard !isReleased else { return false }
      do throws(SystemError) {
        let held = try fileSystem.open(FileNames.reserve, .read).size()
        guard held > 0 else { return false }
        try fileSystem.open(FileNames.reserve, .readWrite).truncate(to: 0)
        state.withLock { $0 = State(byteCount: held, refusal: refusal) }
      } catch {
        if error.isAbsent || error.cause == .permission { return false }
        throw StoreError(error)
      }
      released.store(true, ordering: .releasing)
      return true
    }
  }

  /// Whether the disk has so many bytes, beside what the file holds.
  ///
  /// Takes them and gives them back.
  func hasRoom(for byteCount: Int) throws(StoreError) -> Bool {
    try withGate { () throws(StoreError) in
      do throws(SystemError) {
        let file = try openForWriting()
        let held = try file.size()
        try file.preallocate(through: held + UInt64(byteCount))
        try file.truncate(to: held)
        return true
      } catch {
        if error.cause == .space { return false }
        throw StoreError(error)
      }
    }
  }

  /// Opens the file, and makes a new one in the place of one that may not be written: its bytes
  /// mean nothing.
  private func openForWriting() throws(SystemError) -> any File {
    do throws(SystemError) { return try fileSystem.open(FileNames.reserve, .readWrite) } catch {
      guard error.cause == .permission else { throw error }
    }
    try fileSystem.remove(FileNames.reserve)
    return try fileSystem.open(FileNames.reserve, .readWrite)
  }

  private func withGate<Result>(
    _ body: () throws(StoreError) -> Result
  ) throws(StoreError) -> Result {
    scheduler.wait {
      isHeld.withLock { held in
        if held { return false }
        held = true
        return true
      }
    }
    defer {
      isHeld.withLock { $0 = false }
      scheduler.progressWasMade()
    }
    return try body()
  }
}

/// Makes the reserve, or makes it larger or smaller.
final class ReserveJob: BackgroundJob, @unchecked Sendable {
  private let engine: Engine

  init(engine: Engine) {
    self.engine = engine
    super.init(priority: .deletion)
  }

  override func step() throws(StoreError) -> Bool {
    // One that was given up is taken back when there is no use for it any more.
    if !engine.reserve.isReleased { try engine.adjustReserve() }
    engine.report(nil, of: .reserve)
    return false
  }

  override func end(_ failure: StoreError?) {
    guard let failure else { return }
    engine.report(failure, of: .reserve)
    engine.lookAgainSoon()
  }
}
