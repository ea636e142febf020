// RunProgram — one run of one program, from its start to the end of all it has left.
//
// Room:    Programs.
// Limits:  Three threads, six pipe ends and three other descriptors while it runs; nothing after.

import Synchronization

/// Runs a program, and blocks until all is over; not to be called on the co-operative pool.
///
/// Whatever the program does, this returns: within its wall limit and the grace, provided that
/// there is a limit and the functions given here return. A process that has left the group (setsid)
/// lives on outside a sandbox, but nobody listens to it.
///
/// - Parameters:
///   - feed: called once, on a thread of its own, to write the program's input; the input ends when
///     it returns. It is not interrupted: once the program is over, its writes give false.
///   - receive: called on this thread with what the program prints, in pieces of 64 KiB or more
///     unless it pauses for 100 ms; false ends the program, which is then told as cancelled.
///   - report: called on a thread of its own with each line of standard error that begins with
///     `reporter:`, without its newline.
///   - isCancelled: called on a thread of its own at least every 100 ms; true ends the program.
package func runProgram(
  _ program: Program,
  feed: @escaping @Sendable (ProgramInput) -> Void,
  receive: (UnsafeRawBufferPointer) -> Bool,
  report: @escaping @Sendable (String) -> Void,
  isCancelled: @escaping @Sendable () -> Bool
) -> ProgramResult {
  if let finding = program.finding { return ProgramResult(end: .launchFailed(finding)) }
  if isCancelled() { return ProgramResult(end: .cancelled) }
  let launch = Launch(program)
  guard let run = ProgramRun(launch.mark), let bell = Bell() else {
    return ProgramResult(end: .launchFailed("there are too many open files"))
  }
  let (process, failure) = run.start(launch, bell)
  guard let process else { return ProgramResult(end: .launchFailed(failure)) }
  guard
    let watch = Watch(process.group, program.limits, isCancelled: isCancelled)
  else {
    process.group.send(ProcessGroup.kill)
    _ = process.reap()
    return ProgramResult(end: .launchFailed("there are too many open files"))
  }
  var result = ProgramResult(end: .cancelled)
  let hasThreads = run.follow(
    watch, limit: program.limits.outputByteCount, feed: feed, receive: receive, report: report,
    result: &result)
  let verdict = Verdict(program: program, watch: watch, group: process.group)
  let end = process.reap()
  if !hasThreads {
    result.end = .launchFailed("there are too many threads")
  } else {
    result.end = verdict.end(end, wasStarted: run.wasStarted, errorTail: result.errorTail)
  }
  return result
}
