// JobStop — why a job of programs ends without its results.
//
// Room:    ProgramJobs.

import TurbiditeEngine
import TurbiditePrograms

/// Why a job ends early.
package enum JobStop: Error, Sendable, Hashable {
  /// The store, or the disk.
  case store(StoreError)
  /// A program failed, as often as it may, or printed what cannot be taken.
  case program(ProgramFailure)
  /// A record cannot be given to a program in this form.
  case badRecord(String)
  /// Somebody works on the same job.
  case busy(String)
  /// What the results are to go to is there already.
  case taken(String)
  /// What was asked for cannot be done.
  case refused(String)
  case cancelled
}

/// How a program failed in one task.
package struct ProgramFailure: Error, Sendable, Hashable {
  /// Which, as `map task 12`.
  package var task: String
  /// What it did, as `was killed by signal 11`.
  package var what: String
  /// The last of what it said on standard error.
  package var errorTail: String
  /// The record that it fails at, if that was found.
  package var record: String?
  /// Whether it could not even be started.
  package var isLaunch = false

  /// One sentence.
  package var description: String {
    (record.map { "\(task) \(what) at \($0)" } ?? "\(task) \(what)")
  }
}

extension ProgramEnd {
  /// What the program did, for people; nil where it ended well.
  var failure: String? {
    switch self {
    case .exited(0): nil
    case .exited(let status): "exited with status \(status)"
    case .signaled(let signal): "was killed by signal \(signal)"
    case .timedOut: "ran out of time"
    case .cpuLimit: "used up its processor time"
    case .outputLimit: "printed more than it may"
    case .launchFailed(let reason): "could not be started: \(reason)"
    case .cancelled: "was ended"
    }
  }
}
