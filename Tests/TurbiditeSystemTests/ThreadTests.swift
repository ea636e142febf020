import Glibc
import Synchronization
import Testing
import TurbiditeSystem

/// The suite's own error.
private struct Refusal: Error, Equatable { let number: Int }

@Suite("Threads")
struct ThreadTests {
  @Test("A thread has its name, blocks signals but not faults, and is joined")
  func thread() throws {
    var before = sigset_t()
    pthread_sigmask(SIG_BLOCK, nil, &before)
    let found = Guarded<(name: String, blocked: [Bool])>(("", []))
    let thread = try SystemThread(name: "turbidite-test-with-a-long-name") {
      let comm = open("/proc/thread-self/comm", O_RDONLY)
      var name = [UInt8](repeating: 0, count: 32)
      let count = max(0, read(comm, &name, 32))
      close(comm)
      var mask = sigset_t()
      pthread_sigmask(SIG_BLOCK, nil, &mask)
      let blocked = [SIGINT, SIGTERM, SIGXFSZ, SIGPIPE, SIGSEGV, SIGBUS].map {
        sigismember(&mask, $0) == 1
      }
      let text = String(decoding: name[..<count], as: UTF8.self)
      found.withLock { $0 = (text, blocked) }
    }
    thread.join()
    let (name, blocked) = found.withLock { $0 }
    #expect(name == "turbidite-test-\n")
    #expect(blocked == [true, true, true, true, false, false])
    var mask = sigset_t()
    pthread_sigmask(SIG_BLOCK, nil, &mask)
    for signal in 1..<Int32(32) {
      let isKept = sigismember(&mask, signal) == sigismember(&before, signal)
      #expect(isKept, "signal \(signal)")
    }
  }

  @Test("Two parkers play ping-pong, and plain memory follows the ball")
  func pingPong() throws {
    final class Table: @unchecked Sendable {
      let ping = Parker()
      let pong = Parker()
      /// Not atomic: the parkers alone order the accesses, as a sanitizer sees.
      var ball = 0
    }
    let table = Table()
    let rounds = 20_000
    let other = try SystemThread(name: "pong") {
      for round in 0..<rounds {
        table.pong.park()
        precondition(table.ball == 2 * round + 1)
        table.ball += 1
        table.ping.unpark()
      }
    }
    for round in 0..<rounds {
      table.ball += 1
      table.pong.unpark()
      table.ping.park()
      precondition(table.ball == 2 * round + 2)
    }
    other.join()
    #expect(table.ball == 2 * rounds)
  }

  @Test("An unpark before the park is remembered, and several are one")
  func tokens() throws {
    let parker = Parker()
    parker.unpark()
    parker.unpark()
    parker.park()
    let isAwake = Atomic(false)
    let sleeper = try SystemThread(name: "sleeper") {
      parker.park()
      isAwake.store(true, ordering: .releasing)
    }
    parker.unpark()
    sleeper.join()
    let woke = isAwake.load(ordering: .acquiring)
    #expect(woke)
  }
}

@Suite("I/O threads")
struct IOThreadsTests {
  @Test("Everything that is submitted runs once, and a stop waits for it", arguments: [1, 3])
  func submissions(count: Int) {
    let pool = IOThreads(count: count)
    let done = Guarded<[Int]>([])
    for index in 0..<1000 { pool.submit { done.withLock { $0.append(index) } } }
    pool.stop()
    let order = done.withLock { $0 }
    #expect(order.sorted() == Array(0..<1000))
    if count == 1 { #expect(order == Array(0..<1000)) }
    // Afterwards the caller works itself.
    pool.submit { done.withLock { $0.append(1000) } }
    #expect(done.withLock { $0.last } == 1000)
    pool.stop()
  }

  @Test("Bodies that wait for one another run at once, up to the number of threads")
  func concurrency() {
    let pool = IOThreads(count: 3)
    let parkers = [Parker(), Parker(), Parker()]
    // Each waits for the next to have begun: with fewer than three threads this never ends.
    for index in 0..<3 {
      pool.submit {
        parkers[(index + 1) % 3].unpark()
        parkers[index].park()
      }
    }
    pool.stop()
  }

  @Test("A suspended caller gets the value, or the error with its type")
  func run() async throws {
    let pool = IOThreads(count: 2)
    let sum = await withTaskGroup(of: Int.self) { group in
      for index in 0..<500 { group.addTask { await pool.run { index } } }
      return await group.reduce(0, +)
    }
    #expect(sum == 499 * 500 / 2)
    do throws(Refusal) {
      _ = try await pool.run { () throws(Refusal) -> Int in throw Refusal(number: 7) }
      Issue.record("nothing was thrown")
    } catch {
      #expect(error.number == 7)
    }
    pool.stop()
  }

  @Test("A pool that is forgotten still runs what it was given")
  func forgotten() {
    let parker = Parker()
    do {
      let pool = IOThreads(count: 1)
      pool.submit { parker.unpark() }
    }
    parker.park()
  }
}
