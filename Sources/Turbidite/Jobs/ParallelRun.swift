// ParallelRun — numbered parts of a work, done by several threads.
//
// Room:    Turbidite/Jobs.
// Source:  Each worker begins with a range of its own and takes half of the largest that is left
//          when it has none: work stealing (Blumofe and Leiserson, JACM 46(5), 1999) by ranges, so
//          that what one worker does is nearly always the next part of its input.

internal import Synchronization
package import TurbiditeEngine
internal import TurbiditeSystem

/// Ends work from outside.
package final class CancelFlag: Sendable {
  private let flag = Atomic<Bool>(false)
  private let parent: CancelFlag?

  /// - Parameter parent: when that is set, so is this.
  package init(under parent: CancelFlag? = nil) { self.parent = parent }

  package var isSet: Bool { flag.load(ordering: .relaxed) || parent?.isSet ?? false }

  package func set() { flag.store(true, ordering: .relaxed) }
}

/// Who does which part.
///
/// Invariant: the ranges are disjoint, and every part that is in none was given out.
private struct PartRanges {
  private var ranges: [Range<Int>]
  private var isShared = false

  private init(partCount: Int, workerCount: Int) {
    ranges = (0..<workerCount).map {
      partCount * $0 / workerCount..<partCount * ($0 + 1) / workerCount
    }
  }

  /// - Parameter inOrder: parts go in their order to who asks first.
  init(partCount: Int, workerCount: Int, inOrder: Bool) {
    self.init(partCount: partCount, workerCount: inOrder ? 1 : workerCount)
    if inOrder { isShared = true }
  }

  mutating func next(of worker: Int) -> Int? {
    let worker = isShared ? 0 : worker
    if ranges[worker].isEmpty {
      guard let richest = ranges.indices.max(by: { ranges[$0].count < ranges[$1].count }),
        !ranges[richest].isEmpty
      else { return nil }
      let middle = ranges[richest].lowerBound + ranges[richest].count / 2
      ranges[worker] = middle..<ranges[richest].upperBound
      ranges[richest] = ranges[richest].lowerBound..<middle
    }
    return ranges[worker].removeFirst()
  }
}

extension Range<Int> {
  fileprivate mutating func removeFirst() -> Int {
    defer { self = lowerBound + 1..<upperBound }
    return lowerBound
  }
}

/// Parts of a work, numbered from 0.
package struct ParallelRun: Sendable {
  let partCount: Int
  let workerCount: Int
  let cancel: CancelFlag
  /// Set once any worker fails, or all is cancelled: then nobody need go on.
  package let stop: CancelFlag

  private let isInOrder: Bool

  /// - Parameter inOrder: whether parts go in their order to who asks first, rather than a range of
  ///   them to each worker.
  package init(
    partCount: Int, workerCount: Int, cancel: CancelFlag, stop: CancelFlag? = nil,
    inOrder: Bool = false
  ) {
    isInOrder = inOrder
    self.partCount = partCount
    self.workerCount = max(1, min(workerCount, partCount))
    self.cancel = cancel
    self.stop = stop ?? CancelFlag(under: cancel)
  }

  private struct State {
    var ranges: PartRanges
    var failure: StoreError?
  }

  /// Calls `body` on each worker's thread, the caller's being the first; it asks for parts until
  /// there are none.
  ///
  /// Blocks until all have ended.
  ///
  /// - Throws: the first error that a worker threw, or `cancelled`.
  package func run(
    _ body: @escaping @Sendable (_ worker: Int, _ next: () -> Int?) throws(StoreError) -> Void
  ) throws(StoreError) {
    let state = Guarded(
      State(
        ranges: PartRanges(
          partCount: partCount, workerCount: workerCount, inOrder: isInOrder)))
    let stop = stop
    let work: @Sendable (Int) -> Void = { worker in
      do throws(StoreError) {
        try body(worker) {
          stop.isSet ? nil : state.withLock { $0.ranges.next(of: worker) }
        }
      } catch {
        // Before the others are stopped: what they throw then is not why.
        state.withLock { if $0.failure == nil { $0.failure = error } }
        stop.set()
      }
    }
    if workerCount > 1 {
      let threads = IOThreads(count: workerCount - 1)
      for worker in 1..<workerCount { threads.submit { work(worker) } }
      work(0)
      // Runs what was submitted, and waits for it.
      threads.stop()
    } else {
      work(0)
    }
    if let failure = state.withLock({ $0.failure }) { throw failure }
    if cancel.isSet { throw .cancelled }
  }
}
