// OperationCounter — a number that a disk's plan may raise from any thread.

import Synchronization

final class OperationCounter: Sendable {
  let count = Mutex(0)
}
