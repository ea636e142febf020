// ManifestOwner — the gate through which every change of a store's files goes, one at a time.
//
// Room:    Engine/Shard.

import Synchronization
import TurbiditeSystem

/// The manifest and its state, for whoever holds the gate.
///
/// Safe to share: `held` is touched only between `enter` and `leave`, which a mutex orders. The
/// gate is a flag rather than a held mutex because its holder writes and syncs files.
final class ManifestOwner: @unchecked Sendable {
  struct Held {
    var log: ManifestLog?
    var state: ManifestState
  }

  private let isHeld = Mutex(false)
  private var held: Held
  private let numbers: Atomic<UInt64>
  /// The number of the last edit that is durable, for anyone.
  private let durableEdit: Atomic<UInt64>

  init(state: ManifestState, nextNumber: UInt64) {
    held = Held(log: nil, state: state)
    numbers = Atomic(nextNumber)
    durableEdit = Atomic(state.editNumber)
  }

  /// A file number that was never used.
  func nextNumber() -> UInt64 {
    numbers.wrappingAdd(1, ordering: .relaxed).oldValue
  }

  var upcomingNumber: UInt64 { numbers.load(ordering: .relaxed) }
  var editNumber: UInt64 { durableEdit.load(ordering: .acquiring) }

  /// Runs `body` as the only one who may touch the manifest.
  ///
  /// Blocks until the gate is free.
  func withGate<Result>(
    _ scheduler: any Scheduler, _ body: (inout Held) throws(StoreError) -> Result
  ) throws(StoreError) -> Result {
    scheduler.wait {
      isHeld.withLock { held in
        if held { return false }
        held = true
        return true
      }
    }
    defer {
      durableEdit.store(held.state.editNumber, ordering: .releasing)
      isHeld.withLock { $0 = false }
      scheduler.progressWasMade()
    }
    return try body(&held)
  }

  /// Waits for a moment at which nobody is in the gate.
  func waitForEdit(_ scheduler: any Scheduler) {
    scheduler.wait { isHeld.withLock { !$0 } }
  }
}

extension Engine {
  /// Makes one edit durable and then visible.
  ///
  /// - Parameter edit: built under the gate, from the state it will change; nil abandons.
  /// - Parameter publish: makes the change visible in memory; given the edit's number. It runs when
  ///   the edit is durable, and only then.
  /// - Throws: nothing changed, unless the store is poisoned now.
  func install(
    _ edit: (ManifestState) throws(StoreError) -> VersionEdit?,
    publish: (UInt64) throws(StoreError) -> Void
  ) throws(StoreError) {
    try manifest.withGate(environment.scheduler) { held throws(StoreError) in
      try requireWritable()
      try requireInPlace()
      guard var edit = try edit(held.state) else { return }
      edit.nextFileNumber = manifest.upcomingNumber
      edit.lastSequence = visibleSequence
      edit.syncedPosition = planted(.editWithoutSyncedPosition) ? nil : log?.syncedPosition
      let before = held.state
      do throws(DecodingFailure) {
        try held.state.apply(edit)
      } catch {
        // An edit that breaks the format's rules is our bug: stop before it reaches the disk.
        held.state = before
        let failure = StoreError.poisoned("an edit of the manifest \(error.finding)")
        poison(failure)
        throw failure
      }
      held.state.editNumber += 1
      do throws(StoreError) {
        guard let log = held.log else { preconditionFailure("no manifest is open") }
        try log.append(edit, editNumber: held.state.editNumber)
      } catch {
        if held.log?.isCertain == true {
          held.state = before
          throw error
        }
        // Whether the edit is on disk is unknown. A whole new manifest decides it; until that is
        // durable nothing may be deleted (RocksDB issues 4990 and 6316).
        do throws(StoreError) { try replaceManifest(&held) } catch {
          poison(error)
          throw error
        }
      }
      try publish(held.state.editNumber)
      try replaceLongManifest(&held)
    }
  }

  /// Begins a new manifest when the edits outweigh the state.
  ///
  /// The old one stays good when that fails for want of space, handles or memory; the next edit
  /// tries again.
  private func replaceLongManifest(_ held: inout ManifestOwner.Held) throws(StoreError) {
    guard held.log?.shouldBeReplaced == true || environment.rarePaths.takes(.replaceManifest)
    else { return }
    do throws(StoreError) { try replaceManifest(&held) } catch {
      switch error {
      case .outOfSpace, .resourceExhausted: report(error, of: .manifest)
      default:
        poison(error)
        throw error
      }
    }
  }

  /// Writes the whole state to a new manifest, durably, and removes the one before.
  func replaceManifest(_ held: inout ManifestOwner.Held) throws(StoreError) {
    try requireInPlace()
    let old = held.log?.number
    let number = manifest.nextNumber()
    held.state.nextFileNumber = manifest.upcomingNumber
    held.log = try ManifestLog(
      fileSystem: environment.fileSystem, store: store, number: number, state: held.state)
    report(nil, of: .manifest)
    guard let old else { return }
    // The newest manifest counts, so an old one that stays is only untidy: the next open removes
    // it.
    do throws(StoreError) {
      try environment.fileSystem.removeFile(FileNames.manifest(old))
    } catch {
      report(error, of: .removal)
    }
  }
}
