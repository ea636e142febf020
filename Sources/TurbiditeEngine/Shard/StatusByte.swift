// StatusByte — the state of a live store, told to other processes by which byte is locked.
//
// Room:    Engine/Shard.
// Format:  FORMAT.md section 8: bits 56 to 58 of the offset are the state, 40 to 55 an errno, 0 to
//          39 the time.
// Limits:  Nothing is written, so that a full disk can be told of, and the kernel takes the word
//          back when the process dies. Seconds wrap in the year 36812.

package import TurbiditeSystem

/// What a process that has a store open for writing says of it.
package struct StatusByte: Sendable, Hashable {
  /// What others may want to know, most urgent last.
  package enum State: UInt64, Sendable, Hashable, CaseIterable {
    /// Damage keeps some tables from being compacted.
    case suspect = 1
    /// Writes are refused until there is room.
    case paused = 2
    /// Writes are refused until the store is opened again.
    case readOnly = 3
  }

  package var state: State
  /// The `errno` behind it, or 0.
  package var code: Int32
  /// Seconds since 1970, by the writer's clock.
  package var since: UInt64

  init(state: State, code: Int32, since: UInt64) {
    self.state = state
    self.code = code
    self.since = since
  }

  /// Behind every byte that a reader may lock for an edit: those lie below 2^62 + 16.
  private static let first: UInt64 = 0x6000_0000_0000_0000
  private static let end = first + (8 << 56)
  private static let timeMask: UInt64 = (1 << 40) - 1

  /// The byte that says this.
  var offset: UInt64 {
    Self.first + state.rawValue << 56 + UInt64(UInt16(truncatingIfNeeded: code)) << 40
      + since & Self.timeMask
  }

  /// What a locked byte says; nil for a state that this version does not know.
  init?(offset: UInt64) {
    guard offset >= Self.first, offset < Self.end,
      let state = State(rawValue: (offset - Self.first) >> 56)
    else { return nil }
    self.init(
      state: state, code: Int32(truncatingIfNeeded: (offset >> 40) & 0xFFFF),
      since: offset & Self.timeMask)
  }

  /// What is to be said of an engine; nil when it is well.
  init?(_ health: EngineHealth) {
    if let poison = health.poison {
      self.init(state: .readOnly, code: poison.cause.systemCode, since: poison.since)
    } else if let pause = health.pause {
      self.init(state: .paused, code: pause.cause.systemCode, since: pause.since)
    } else if let since = health.suspects.values.map(\.since).min() {
      self.init(state: .suspect, code: 0, since: since)
    } else {
      return nil
    }
  }

  /// Looks whether a process has the store open for writing, and what it says.
  ///
  /// Some sixty calls of the system, none of which waits.
  ///
  /// - Returns: nil when no process has it open for writing.
  package static func ofWriter(
    _ fileSystem: any FileSystem
  ) throws(StoreError) -> (isLive: Bool, status: StatusByte?) {
    let lock: any File
    do throws(SystemError) { lock = try fileSystem.open(FileNames.lock, .read) } catch {
      // Without a LOCK file there was never a writer.
      if error.isAbsent { return (false, nil) }
      throw StoreError(error)
    }
    do throws(SystemError) {
      guard
        try lock.isLockedElsewhere(from: LockBytes.writer, to: LockBytes.writer + 1)
      else { return (false, nil) }
      // The byte may move while it is looked for: what was found must still be there.
      for _ in 0..<16 {
        guard try lock.isLockedElsewhere(from: first, to: end) else { return (true, nil) }
        var (low, high) = (first, end)
        while high - low > 1 {
          let middle = low + (high - low) / 2
          if try lock.isLockedElsewhere(from: low, to: middle) {
            high = middle
          } else {
            low = middle
          }
        }
        if try lock.isLockedElsewhere(from: low, to: low + 1) {
          return (true, StatusByte(offset: low))
        }
      }
    } catch {
      throw StoreError(error)
    }
    throw .resourceExhausted("the state of the store changes too fast to be read")
  }
}

extension StoreError {
  /// The `errno` behind the error, or 0.
  package var systemCode: Int32 {
    switch self {
    case .outOfSpace(_, _, let code), .io(_, _, let code), .durabilityLost(_, _, let code),
      .permissionDenied(_, _, let code):
      code
    default: 0
    }
  }
}
