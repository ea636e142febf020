// TaskLoop — a task again and again, until it is done or the record that breaks it is known.
//
// Room:    ProgramJobs.
// Source:  Skipping of bad records after Dean and Ghemawat, MapReduce, OSDI 2004, section 4.6; that
//          they are found by bisection, as in Hadoop 1.

import TurbiditeEngine

/// Records of a task, by their places in it.
struct RecordSelection: Sendable {
  var range: Range<Int>
  var skipped: Set<Int> = []

  static let all = RecordSelection(range: 0..<Int.max)

  func contains(_ index: Int) -> Bool {
    range.contains(index) && (skipped.isEmpty || !skipped.contains(index))
  }
}

/// How a job counts the records that it sets aside.
protocol Quarantine: Sendable {
  /// Takes a place for one more; false when all are taken.
  func admit() -> Bool
}

/// Performs a task.
struct TaskLoop {
  let attemptCount: Int
  let quarantine: any Quarantine
  /// The records of the task.
  let recordCount: () throws(JobStop) -> Int
  /// What people call a record.
  let name: (Int) throws(JobStop) -> String

  /// Makes one attempt; on trial, nothing of what it prints is kept.
  typealias Attempt = (
    _ number: Int, RecordSelection, _ isTrial: Bool
  ) throws(JobStop) -> ProgramFailure?

  /// - Returns: the records that were set aside.
  func run(_ task: TaskName, _ attempt: Attempt) throws(JobStop) -> [QuarantinedRecord] {
    var selection = RecordSelection.all
    var quarantined: [QuarantinedRecord] = []
    var number = 0
    var failures = 0
    while true {
      guard var failure = try attempt(number, selection, false) else { return quarantined }
      number += 1
      failures += 1
      if failure.isLaunch { throw .program(failure) }
      if failures < attemptCount { continue }
      guard let index = try failingRecord(of: selection, &number, &failure, attempt) else {
        throw .program(failure)
      }
      let name = try name(index)
      failure.record = name
      guard quarantine.admit() else { throw .program(failure) }
      selection.skipped.insert(index)
      quarantined.append(
        QuarantinedRecord(
          task: task.description, index: index, name: name, reason: failure.what))
      // Once a record is set aside, the rest deserves as many attempts as the whole had.
      failures = 0
    }
  }

  /// The one record without which a half that fails would not; nil when none fails by itself.
  private func failingRecord(
    of selection: RecordSelection, _ number: inout Int, _ failure: inout ProgramFailure,
    _ attempt: Attempt
  ) throws(JobStop) -> Int? {
    var range = 0..<(try recordCount())
    func fails(_ part: Range<Int>) throws(JobStop) -> Bool {
      number += 1
      let outcome = try attempt(
        number, RecordSelection(range: part, skipped: selection.skipped), true)
      guard let outcome else { return false }
      if outcome.isLaunch { throw .program(outcome) }
      failure = outcome
      return true
    }
    let whole = failure
    if try fails(0..<0) {
      // No record is to blame for what happens without any.
      failure = whole
      failure.what += ", as it does with nothing to read"
      return nil
    }
    while range.count > 1 {
      let middle = range.lowerBound + range.count / 2
      if try fails(range.lowerBound..<middle) {
        range = range.lowerBound..<middle
      } else if try fails(middle..<range.upperBound) {
        range = middle..<range.upperBound
      } else {
        return nil
      }
    }
    guard let index = range.first, selection.contains(index) else { return nil }
    return try fails(range) ? index : nil
  }
}
