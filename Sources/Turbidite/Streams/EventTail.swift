// EventTail — the events of a stream as they come, for tasks and for threads.
//
// Room:    Turbidite/Streams.

internal import Synchronization
internal import TurbiditeEngine
internal import TurbiditeSystem

/// Events of a stream in batches, for `for try await`: those that are there, and then those that
/// are appended, without an end.
///
/// A batch has 1 to 256 events, or as many as take 64 KiB; within a partition they come in the
/// order of their offsets. An event is seen when its commit is visible. The next batch is read when
/// it is asked for, so a slow reader holds nothing in memory and keeps no writer waiting.
///
/// The walk ends with ``StoreError/cancelled`` when its task is cancelled, with `closed` when the
/// store is closed, with `notFound` when the stream is dropped. A store that is open read-only gets
/// no news.
public struct EventTail: AsyncSequence, Sendable {
  /// What the sequence yields.
  public typealias Element = [Event]
  /// What the sequence throws.
  public typealias Failure = StoreError

  let store: Store
  let stream: EventStream
  let partitions: [Int]?
  let start: TailStart

  /// Begins a walk; ``TailStart/end`` means the end at this moment.
  public func makeAsyncIterator() -> Iterator { Iterator(tail: self) }

  /// Walks an ``EventTail``.
  public struct Iterator: AsyncIteratorProtocol {
    private let store: Store
    private let reader: TailReader

    init(tail: EventTail) {
      store = tail.store
      reader = TailReader(
        tail.store, tail.stream, partitions: tail.partitions, from: tail.start)
    }

    /// The next batch; suspends until there is one.
    public mutating func next() async throws(StoreError) -> [Event]? {
      while true {
        if Task.isCancelled { throw .cancelled }
        let reader = reader
        let seen = reader.watch.generation
        let events = try await store.run { _ throws(StoreError) in try reader.read() }
        if !events.isEmpty { return events }
        await reader.watch.change(after: seen)
      }
    }

    /// The next batch; the isolation makes no difference, because it comes from another thread.
    public mutating func next(
      isolation actor: isolated (any Actor)?
    ) async throws(StoreError) -> [Event]? {
      try await next()
    }
  }
}

/// Events of a stream as they come, for synchronous code; see ``EventTail``.
///
/// One thread at a time may use it.
public final class BlockingEventTail {
  private let reader: TailReader

  init(_ reader: TailReader) { self.reader = reader }

  /// The next batch; blocks the calling thread until there is one.
  ///
  /// - Parameter timeout: how long to wait at most; nil means for as long as it takes.
  /// - Returns: no events only when the time was up.
  public func next(waitingAtMost timeout: Duration? = nil) throws(StoreError) -> [Event] {
    let deadline = Deadline(after: timeout)
    while true {
      let seen = reader.watch.generation
      let events = try reader.read()
      if !events.isEmpty || deadline.hasPassed { return events }
      reader.watch.wait(after: seen, until: deadline.nanoseconds)
    }
  }
}

/// When a thread waits no longer.
struct Deadline {
  private let clock = SystemClock()
  /// Of the monotonic clock; nil means never.
  let nanoseconds: UInt64?

  init(after timeout: Duration?) {
    let now = clock.monotonicNanoseconds()
    nanoseconds = timeout.map { now &+ $0.wholeNanoseconds }
  }

  var hasPassed: Bool {
    guard let nanoseconds else { return false }
    return clock.monotonicNanoseconds() >= nanoseconds
  }
}

extension Duration {
  /// Nanoseconds, 0 for negative durations, at most some 290 years.
  fileprivate var wholeNanoseconds: UInt64 {
    guard self > .zero else { return 0 }
    let (seconds, attoseconds) = components
    let (whole, overflows) = UInt64(seconds).multipliedReportingOverflow(by: 1_000_000_000)
    return overflows ? .max / 2 : min(.max / 2, whole &+ UInt64(attoseconds) / 1_000_000_000)
  }
}

extension StreamWatch {
  /// Suspends the task until there was a change after `seen`, or it is cancelled.
  func change(after seen: UInt64) async {
    let ticket = ResumeTicket()
    let waiter = call(after: seen) { ticket.resume() }
    guard let waiter else { return }
    await withTaskCancellationHandler {
      await withCheckedContinuation { ticket.wait($0) }
    } onCancel: {
      ticket.resume()
    }
    cancel(waiter)
  }
}

/// Resumes a task once, however many ask for it, and whether it waits already or not.
private final class ResumeTicket: Sendable {
  private enum State {
    case fresh
    case waiting(CheckedContinuation<Void, Never>)
    case resumed
  }

  private let state = Mutex(State.fresh)

  func wait(_ continuation: CheckedContinuation<Void, Never>) {
    let isResumed = state.withLock { state in
      if case .resumed = state { return true }
      state = .waiting(continuation)
      return false
    }
    if isResumed { continuation.resume() }
  }

  func resume() {
    let waiting = state.withLock { state -> CheckedContinuation<Void, Never>? in
      defer { state = .resumed }
      guard case .waiting(let continuation) = state else { return nil }
      return continuation
    }
    waiting?.resume()
  }
}

extension Store {
  /// The events of a stream as they come.
  ///
  /// - Parameter partitions: nil means all of them.
  /// - Parameter start: where to begin.
  public func tail(
    _ stream: EventStream, partitions: [Int]? = nil, from start: TailStart = .end
  ) -> EventTail {
    EventTail(store: self, stream: stream, partitions: partitions, start: start)
  }
}

extension Store.Blocking {
  /// The events of a stream as they come, for synchronous code.
  ///
  /// - Parameter partitions: nil means all of them.
  /// - Parameter start: where to begin.
  public func tail(
    _ stream: EventStream, partitions: [Int]? = nil, from start: TailStart = .end
  ) -> BlockingEventTail {
    BlockingEventTail(TailReader(store, stream, partitions: partitions, from: start))
  }
}
