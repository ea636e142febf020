// MicroBenchmark — one operation, and how often it is done.
//
// Room:    Engine/Micro. Compiled for Tools/micro alone.

/// An operation that is counted by doing it `count` and twice `count` times.
///
/// In the difference between the two runs nothing is left of the start of a process and of what
/// `run` prepares.
package struct MicroBenchmark: Sendable {
  package let name: String
  /// Enough that what background threads happen to do is small beside it.
  package let count: Int
  /// Prepares what does not depend on the count, and then does the operation so often.
  package let run: @Sendable (_ count: Int, _ directory: String) throws -> Void

  package init(
    _ name: String, count: Int, run: @escaping @Sendable (Int, String) throws -> Void
  ) {
    self.name = name
    self.count = count
    self.run = run
  }

  /// The operations inside the engine; they need no directory.
  package static var ofEngine: [MicroBenchmark] { BlockWork.all + MemoryWork.all + HashWork.all }
}

/// Makes the optimizer believe that a result is used.
@inline(never)
@_optimize(none)
package func keep(_ result: Int) {}
