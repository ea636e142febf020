// Health — what a store can do now, and what stands in its way.
//
// Room:    Turbidite/Store.

internal import TurbiditeEngine

extension Store {
  /// What a store can do at a moment, and what stands in its way.
  ///
  /// Times are seconds since 1970 by the machine's clock, which may be set.
  public struct Health: Sendable, Hashable {
    /// Whether the store takes writes.
    @nonexhaustive
    public enum State: Sendable, Hashable {
      /// It does.
      case usable
      /// It has refused a write for want of space, and reads go on.
      ///
      /// Each further write is tried, and succeeds as soon as there is room for it; the state
      /// follows within about a second, also without one. Deletions, flushes and compactions may
      /// use the room that the store has held back for them.
      case paused(Pause)
      /// It refuses writes until it is opened again; reads go on.
      ///
      /// The cause is what failed; ``StoreError/readOnly`` for a store that was opened so.
      case readOnly(since: UInt64?, cause: StoreError)
      /// It was closed.
      case closed
    }

    /// Writes that wait for room.
    public struct Pause: Sendable, Hashable {
      /// What the system said.
      public var reason: StoreError
      /// When the first write was refused.
      public var since: UInt64
      /// About how many bytes must be free for the last refused write to succeed.
      public var neededByteCount: Int
      /// When the store looks for room again, if no write comes before.
      public var nextAttempt: UInt64?
    }

    /// Work that a store does behind its users' backs.
    @nonexhaustive
    public enum Work: String, Sendable, Hashable {
      /// Making the log durable, and shorter.
      case log
      /// Writing a memtable to a table.
      case flush
      /// Merging tables.
      case compaction
      /// Beginning a new manifest when the old one has grown long.
      case manifest
      /// Removing files that are no longer needed.
      case removal
      /// Holding back room for deletions on a full disk.
      case reserve
    }

    /// Work that failed and has not succeeded since.
    public struct Failure: Sendable, Hashable {
      /// What failed.
      public var work: Work
      /// Why, the last time.
      public var error: StoreError
      /// When it failed first.
      public var since: UInt64
      /// When it is tried again at the earliest; nil when it is not, because of damage or because
      /// the store refuses writes.
      public var nextAttempt: UInt64?
    }

    /// Whether the store takes writes.
    public var state: State
    /// Damage that a compaction has met.
    ///
    /// The shard's part of the keyspace that holds the file is not compacted any more, so that a
    /// repair finds all there is; everything else is.
    ///
    /// What a read meets is thrown by the read, and does not stand here.
    public var suspects: [Damage]
    /// Background work that failed and has not succeeded since, each piece once.
    public var failures: [Failure]
  }

  /// What the store can do now, and what stands in its way.
  ///
  /// Reads no file, and waits for nothing: a task may ask as often as it likes. Any thread may ask,
  /// a closed store answers, too.
  public func health() -> Health { Health(of: engine) }
}

extension Store.Blocking {
  /// What the store can do now, and what stands in its way; see ``Store/health()``.
  public func health() -> Store.Health { store.health() }
}

extension Store.Health {
  init(of engine: Engine) {
    let health = engine.currentHealth
    let takesWrites = !health.isClosed && health.poison == nil && !engine.isReadOnly
    let nextAttempt = takesWrites ? health.nextAttempt : nil
    if health.isClosed {
      state = .closed
    } else if engine.isReadOnly {
      state = .readOnly(since: nil, cause: .readOnly)
    } else if let poison = health.poison {
      state = .readOnly(since: poison.since, cause: poison.cause)
    } else if let pause = health.pause {
      state = .paused(
        Pause(
          reason: pause.cause, since: pause.since, neededByteCount: pause.neededByteCount,
          nextAttempt: nextAttempt))
    } else {
      state = .usable
    }
    suspects = health.damages
    failures = []
    for kind in BackgroundWorkKind.allCases {
      for incident in health.failures(of: kind) {
        var isDamage = false
        if case .corrupt = incident.cause { isDamage = true }
        failures.append(
          Failure(
            work: Work(kind), error: incident.cause, since: incident.since,
            nextAttempt: isDamage ? nil : nextAttempt))
      }
    }
  }
}

extension Store.Health.Work {
  init(_ kind: BackgroundWorkKind) {
    switch kind {
    case .log: self = .log
    case .flush: self = .flush
    case .compaction: self = .compaction
    case .manifest: self = .manifest
    case .removal: self = .removal
    case .reserve: self = .reserve
    }
  }
}
