// ObsoleteFiles — files that the store no longer consists of, until their readers are gone.
//
// Room:    Engine/Shard.

import Synchronization
import TurbiditeSystem

/// The bytes of LOCK that processes lock.
///
/// None of them is ever written.
enum LockBytes {
  /// Exclusive, by the one writer.
  static let writer: UInt64 = 0
  /// Shared, by a reader that is just opening: nothing may be deleted.
  static let opening: UInt64 = 1
  /// Shared, by a reader of the state after edit `n`, at this offset plus `n`.
  static let firstEdit: UInt64 = 16
}

/// Files to be removed, each with the edit since which no new reader can need it.
final class ObsoleteFiles: Sendable {
  private struct State {
    var files: [ObsoleteFile] = []
    /// Somebody removes files; what is here came later.
    var isTaken = false
  }

  private let state = Mutex(State())

  var isEmpty: Bool { state.withLock { $0.files.isEmpty } }

  func add(_ file: ObsoleteFile) { state.withLock { $0.files.append(file) } }

  /// All files, for one who removes them at a time; nil while another does.
  func takeAll() -> [ObsoleteFile]? {
    state.withLock { state in
      guard !state.isTaken else { return nil }
      state.isTaken = true
      defer { state.files = [] }
      return state.files
    }
  }

  /// Ends what ``takeAll()`` began.
  ///
  /// - Returns: whether files were added meanwhile, for which nobody may have come.
  func putBack(_ kept: [ObsoleteFile]) -> Bool {
    state.withLock { state in
      state.isTaken = false
      defer { state.files = kept + state.files }
      return !state.files.isEmpty
    }
  }
}

/// Removes obsolete files that no reader in another process can still need.
final class DeletionJob: BackgroundJob, @unchecked Sendable {
  private let engine: Engine

  init(engine: Engine) {
    self.engine = engine
    super.init(priority: .deletion)
  }

  override func step() throws(StoreError) -> Bool {
    engine.removeObsolete()
    return false
  }
}

extension Engine {
  /// Removes the obsolete files that no reader in another process can still need; the others are
  /// tried again later.
  func removeObsolete() {
    guard let files = obsolete.takeAll() else { return }
    var kept: [ObsoleteFile] = []
    var failure: StoreError?
    // Segments go in their order, durably: an older one that a power loss brought back alone would
    // show what later ones, and tables since, had deleted.
    var keepsSegments = false
    for file in files {
      var isSegment = false
      if case .logSegment = FileNames.kind(of: file.path) { isSegment = true }
      var isKept = true
      do throws(StoreError) {
        let waits = isSegment && keepsSegments
        let isNeeded = try isNeeded(file)
        if waits || isNeeded || environment.rarePaths.takes(.keepObsoleteFile) {
          keepsSegments = keepsSegments || isSegment
        } else if isSegment {
          try environment.fileSystem.removeFile(file.path)
          isKept = false
          try environment.fileSystem.syncNames(FileNames.logDirectory)
        } else {
          try environment.fileSystem.removeFile(file.path)
          isKept = false
          if case .table(let shard, let number) = FileNames.kind(of: file.path) {
            tables.gone.wasRemoved(number, shard: shard)
          }
        }
      } catch {
        // One table that cannot be removed keeps no other; it is tried again.
        keepsSegments = keepsSegments || isSegment
        failure = error
      }
      if isKept { kept.append(file) }
    }
    if obsolete.putBack(kept) { deleteObsolete() }
    if !kept.isEmpty { lookAgainSoon() }
    report(failure, of: .removal)
  }

  /// Whether a reader holds a state that the file was part of.
  private func isNeeded(_ file: ObsoleteFile) throws(StoreError) -> Bool {
    guard let lock = lockFile else { return true }
    if planted(.deleteFilesOfReaders) { return false }
    do throws(SystemError) {
      return try lock.isLockedElsewhere(
        from: LockBytes.opening, to: LockBytes.firstEdit + file.removedBy)
    } catch {
      throw StoreError(error)
    }
  }
}
