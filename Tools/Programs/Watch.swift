// Watch — sees to it that a program ends, and that what it leaves behind does.
//
// Room:    Programs.

import Synchronization

/// The end of one program: who wants it, and how far it has come.
///
/// `run` works on a thread of its own, as both the feeder and the receiver may block for long.
///
/// Invariants:
/// 1. The first reason to end the program is the one that is told.
/// 2. The bell `stop` rings when the program has ended, its group was killed, and its pipes have
///    had their time: nobody waits for them any more.
/// 3. The leader is a zombie at the most while its group is signalled.
final class Watch: Sendable {
  private struct State {
    var reason: ProgramEnd?
    var isOutputOver = false
    var areErrorsOver = false
  }

  /// How often the caller is asked whether it wants to go on.
  private static let longestTick = Duration.milliseconds(50)
  /// How long the pipes of a group that was killed may take to be closed.
  private static let settling = Duration.milliseconds(250)

  /// Tells readers and the feeder to come to an end.
  let stop: Bell
  private let group: ProcessGroup
  private let limits: ProgramLimits
  private let isCancelled: @Sendable () -> Bool
  private let alarm: Bell
  private let start = ContinuousClock.now
  private let state = Mutex(State())

  /// Nil when there are too many descriptors.
  init?(
    _ group: ProcessGroup, _ limits: ProgramLimits, isCancelled: @escaping @Sendable () -> Bool
  ) {
    guard let alarm = Bell(), let stop = Bell() else { return nil }
    self.group = group
    self.limits = limits
    self.alarm = alarm
    self.stop = stop
    self.isCancelled = isCancelled
  }

  /// Why the program had to end; nil when it did so by itself.
  var reason: ProgramEnd? { state.withLock(\.reason) }

  /// Nothing more is read from standard output; with a reason, the program must end.
  func endOutput(_ reason: ProgramEnd?) {
    state.withLock { state in
      state.isOutputOver = true
      state.reason = state.reason ?? reason
    }
    alarm.ring()
  }

  /// Nothing more is read from standard error.
  func endErrors() {
    state.withLock { $0.areErrorsOver = true }
    alarm.ring()
  }

  /// Returns when the program has ended and everything of it is stopped that can be.
  ///
  /// A process that the kernel does not let die (it waits for a disk that has gone) is waited for.
  func run() {
    let grace = Duration.seconds(limits.graceSeconds)
    let killTime = waitForLeader(grace)
    // The leader has ended: its children may finish what they write, within the same grace.
    let patience = killTime ?? .now + grace
    while !arePipesOver, .now < patience {
      // Nobody wants what they write, and they were not asked to end before.
      if killTime == nil, reason != nil || isCancelled() { break }
      tick(until: patience, orReadable: -1)
    }
    group.send(ProcessGroup.kill)
    let settled = ContinuousClock.now + Self.settling
    while !arePipesOver, .now < settled { tick(until: settled, orReadable: -1) }
    stop.ring()
  }

  /// Waits for the end of the leader, and brings it about when there is a reason to.
  ///
  /// - Returns: until when the group has time after a first signal; nil when there was none.
  private func waitForLeader(_ grace: Duration) -> ContinuousClock.Instant? {
    let limit = limits.wallSeconds.map { start + Duration.seconds($0) }
    var killTime: ContinuousClock.Instant?
    var isKilled = false
    while !group.hasEnded {
      if let killTime {
        if !isKilled, killTime <= .now {
          isKilled = true
          group.send(ProcessGroup.kill)
        }
      } else {
        if let limit, limit <= .now { endProgram(.timedOut) }
        if isCancelled() { endProgram(.cancelled) }
        if reason != nil {
          group.send(ProcessGroup.terminate)
          killTime = .now + grace
        }
      }
      tick(until: isKilled ? nil : killTime ?? limit, orReadable: group.descriptor)
    }
    return killTime
  }

  private func endProgram(_ reason: ProgramEnd) {
    state.withLock { $0.reason = $0.reason ?? reason }
  }

  private var arePipesOver: Bool { state.withLock { $0.isOutputOver && $0.areErrorsOver } }

  /// Waits until something happens, but not beyond `time`, nor for longer than a tick.
  private func tick(until time: ContinuousClock.Instant?, orReadable descriptor: Int32) {
    var rest = Self.longestTick
    if let time { rest = max(.zero, min(rest, ContinuousClock.now.duration(to: time))) }
    // Rounded up: a wait that ends just before its time would be followed by one of nothing.
    let milliseconds = rest.components.attoseconds / 1_000_000_000_000_000 + 1
    alarm.wait(orReadable: descriptor, milliseconds: Int32(clamping: milliseconds))
  }

  /// How long ago the watch began, in seconds.
  var elapsedSeconds: Double {
    let (seconds, attoseconds) = start.duration(to: .now).components
    return Double(seconds) + Double(attoseconds) / 1e18
  }
}
