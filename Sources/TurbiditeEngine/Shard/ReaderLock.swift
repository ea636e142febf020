// ReaderLock — what keeps a writer in another process from deleting what is being read.
//
// Room:    Engine/Shard.
// Format:  FORMAT.md section 8.

import TurbiditeSystem

/// The locks of a reader on LOCK, which keep a writer from deleting what is being looked at.
final class ReaderLock {
  private let file: (any File)?
  private(set) var isWriterLive = false
  /// Why no lock could be taken, if it could not.
  private(set) var trouble: StoreError?
  /// What has the name LOCK is no file: nothing opens the store.
  private(set) var isMisplaced = false

  /// Keeps files from being deleted until a state is held.
  ///
  /// Without a LOCK file there is no writer, and nothing to lock.
  init(_ fileSystem: any FileSystem) throws(StoreError) {
    do throws(SystemError) { file = try fileSystem.open(FileNames.lock, .read) } catch {
      file = nil
      if !error.isAbsent { trouble = StoreError(error) }
      isMisplaced = error.isNoRegularFile
    }
    guard let file else { return }
    do throws(SystemError) {
      isWriterLive = try file.isLockedElsewhere(
        from: LockBytes.writer, to: LockBytes.writer + 1)
      _ = try file.tryLock(.shared, from: LockBytes.opening, to: LockBytes.opening + 1)
    } catch {
      trouble = StoreError(error)
    }
  }

  /// Lets files go that the state after `edit` does not name; without an edit all stay.
  func holdState(after edit: UInt64?) throws(StoreError) {
    guard let file, let edit, edit < UInt64(Int64.max) / 2, trouble == nil else { return }
    let byte = LockBytes.firstEdit + edit
    do throws(SystemError) {
      _ = try file.tryLock(.shared, from: byte, to: byte + 1)
      try file.unlock(from: LockBytes.opening, to: LockBytes.opening + 1)
    } catch {
      throw StoreError(error)
    }
  }

  /// Gives everything back.
  func release() {
    do throws(SystemError) {
      try file?.unlock(from: LockBytes.opening, to: UInt64(Int64.max))
    } catch {
      // The locks go with the file at the latest, and only delay deletions until then.
    }
  }
}
