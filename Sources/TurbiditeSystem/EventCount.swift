// EventCount — sleep until something happened, without missing what happens meanwhile.
//
// Room:    System.
// Source:  Reed and Kanodia, "Synchronization with eventcounts and sequencers", CACM 1979.

import Synchronization

/// A number that only grows, and sleepers that wait for it to grow.
package final class EventCount: Sendable {
  private let monitor = Monitor()
  /// Grows under the monitor's lock only.
  private let count = Atomic<UInt64>(0)

  package init() {}

  /// To be read before the state that the event is about.
  package var generation: UInt64 { count.load(ordering: .acquiring) }

  /// Says that the state has changed; to be called after the change.
  package func notify() {
    monitor.withLock {
      count.wrappingAdd(1, ordering: .releasing)
      monitor.wakeAll()
    }
  }

  /// Sleeps until there was an event after `seen`, or until the monotonic time `deadline`.
  package func wait(after seen: UInt64, until deadline: UInt64?) {
    monitor.withLock {
      while count.load(ordering: .acquiring) == seen {
        if let deadline {
          if !monitor.wait(until: deadline) { return }
        } else {
          monitor.wait()
        }
      }
    }
  }
}
