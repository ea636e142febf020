import Synchronization
import Testing

@testable import TurbiditeEngine

#if canImport(Glibc)
import Glibc
#endif

/// Readers see every entry that the writer announced, in order, while it writes.
///
/// Method: one writer announces the sequence number of each entry it has inserted, as the engine
/// does; readers on other threads take announced numbers as snapshots. Keys follow from sequence
/// numbers and back, so a reader knows what must be there without asking anyone. The thread
/// sanitizer runs this too, in release.
@Suite("Memtable concurrency")
struct MemtableConcurrencyTests {
  enum Order: String, CaseIterable, Sendable {
    case scattered, ascending, descending, versions
  }

  /// What a run shares.
  ///
  /// `@unchecked`: `visible` and `failures` are atomics.
  final class Run: @unchecked Sendable {
    let memtable: Memtable
    let order: Order
    let count: UInt64
    let visible = Atomic<UInt64>(0)
    let failures = Atomic<Int>(0)

    init(order: Order, count: UInt64, pool: ChunkPool) {
      memtable = Memtable(pool: pool)
      self.order = order
      self.count = count
    }

    /// The key written with a sequence number.
    func key(_ sequence: UInt64) -> [UInt8] {
      let number: UInt64 =
        switch order {
        // An odd factor permutes the numbers below 2^20.
        case .scattered: sequence &* 0x9_e375 & 0xf_ffff
        case .ascending: sequence
        case .descending: 0xf_ffff - sequence
        case .versions: sequence % 16
        }
      let digits = String(number)
      return Array(("user" + String(repeating: "0", count: 10 - digits.count) + digits).utf8)
    }

    func write() {
      for sequence in 1...count {
        let key = key(sequence)
        let tag = Tag(sequence: sequence, kind: .value).rawValue
        do {
          if try !memtable.insert(MemtableEntry(key: key, tag: tag, value: key)) { fail() }
        } catch {
          fail()
        }
        visible.store(sequence, ordering: .releasing)
      }
    }

    func fail() { failures.add(1, ordering: .relaxed) }

    var isDone: Bool { visible.load(ordering: .acquiring) == count }

    /// Looks up announced entries until the writer is done.
    func lookUp(seed: UInt64) {
      var random = SeededGenerator(seed: seed)
      repeat {
        let snapshot = visible.load(ordering: .acquiring)
        guard snapshot > 0 else { continue }
        let sequence = UInt64.random(in: 1...snapshot, using: &random)
        let key = key(sequence)
        let found = memtable.find(key, at: sequence)
        if found?.tag != Tag(sequence: sequence, kind: .value).rawValue { fail() }
        if found?.value != key { fail() }
      } while !isDone
    }

    /// Seeks announced entries, from either side, until the writer is done.
    func seek(seed: UInt64) {
      var random = SeededGenerator(seed: seed)
      let cursor = memtable.makeCursor()
      repeat {
        let snapshot = visible.load(ordering: .acquiring)
        guard snapshot > 0 else { continue }
        let sequence = UInt64.random(in: 1...snapshot, using: &random)
        let tag = Tag(sequence: sequence, kind: .value)
        do {
          try key(sequence).withView { key in
            try cursor.seek(key, tag)
            if !cursor.isValid || cursor.tag != tag || !cursor.key.isEqual(to: key) { fail() }
            // The smallest place above it; the entry is the last one below that.
            try cursor.seekBefore(key, Tag(rawValue: tag.rawValue - 1))
            if !cursor.isValid || cursor.tag != tag || !cursor.key.isEqual(to: key) { fail() }
          }
        } catch {
          fail()
        }
      } while !isDone
    }

    /// Walks everything, in both directions by turns, until the writer is done.
    func walk() {
      let cursor = memtable.makeCursor()
      var forward = true
      repeat {
        let snapshot = visible.load(ordering: .acquiring)
        var seen: UInt64 = 0
        var before: MemtableEntry?
        do {
          if forward { try cursor.seekToFirst() } else { try cursor.seekToLast() }
          while cursor.isValid {
            let entry = MemtableEntry(key: cursor.key.bytes(), tag: cursor.tag.rawValue, value: [])
            if !cursor.value.isEqual(to: cursor.key) { fail() }
            if let before, forward ? !before.precedes(entry) : !entry.precedes(before) { fail() }
            if cursor.tag.sequence <= snapshot { seen += 1 }
            before = entry
            if forward { try cursor.next() } else { try cursor.previous() }
          }
        } catch {
          fail()
        }
        // Order and distinctness are checked above; then the number alone proves completeness.
        if seen != snapshot { fail() }
        forward.toggle()
      } while !isDone
    }
  }

  @Test("no announced entry is ever missed, by lookups or by walks", arguments: Order.allCases)
  func concurrent(order: Order) {
    let pool = ChunkPool()
    let run = Run(order: order, count: 20_000, pool: pool)
    // Threads, not tasks: readers must overlap the writer even where tasks share one thread.
    let threads = [
      TestThread { run.write() }, TestThread { run.lookUp(seed: 1) },
      TestThread { run.seek(seed: 2) },
      TestThread { run.walk() },
    ]
    for thread in threads { thread.join() }
    #expect(run.failures.load(ordering: .acquiring) == 0)
    #expect(run.memtable.entryCount == 20_000)
    run.memtable.checkInvariants()
  }

  /// What the tombstone test shares.
  ///
  /// `@unchecked`: both are atomics.
  final class Announced: @unchecked Sendable {
    let visible = Atomic<UInt64>(0)
    let failures = Atomic<Int>(0)
    let memtable = Memtable(pool: ChunkPool())

    func write() {
      for sequence in 1...200 as ClosedRange<UInt64> {
        let key = [UInt8(sequence)]
        do {
          try key.withView { start in
            try (key + [0]).withView { end in
              try memtable.insertRangeTombstone(start, end, sequence: sequence)
            }
          }
        } catch {
          failures.add(1, ordering: .relaxed)
        }
        visible.store(sequence, ordering: .releasing)
      }
    }

    func read() {
      var snapshot: UInt64 = 0
      while snapshot < 200 {
        snapshot = visible.load(ordering: .acquiring)
        guard snapshot > 0 else { continue }
        let set = memtable.rangeTombstones
        let covering = [UInt8(snapshot)].withView { set.newestCovering($0, at: snapshot) }
        if covering != snapshot { failures.add(1, ordering: .relaxed) }
      }
    }
  }

  @Test("range tombstones that were announced are seen by readers")
  func tombstones() {
    let shared = Announced()
    let threads = [TestThread { shared.read() }, TestThread { shared.write() }]
    for thread in threads { thread.join() }
    #expect(shared.failures.load(ordering: .acquiring) == 0)
    #expect(shared.memtable.rangeTombstoneCount == 200)
  }
}

/// A thread of the system's, started at once.
struct TestThread {
  private var handle = pthread_t()

  init(_ body: @escaping @Sendable () -> Void) {
    let box = Unmanaged.passRetained(Body(body))
    let status = pthread_create(
      &handle, nil,
      { argument in
        Unmanaged<Body>.fromOpaque(argument!).takeRetainedValue().run()
        return nil
      }, box.toOpaque())
    precondition(status == 0)
  }

  func join() { pthread_join(handle, nil) }

  private final class Body: Sendable {
    let run: @Sendable () -> Void
    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
  }
}
