// EndTests — every way to end badly has its name, and none of them is a hang.
//
// Room:    Tests of Programs.

import Foundation
import Synchronization
import Testing
import TurbiditePrograms

@Suite("Programs: ends")
struct EndTests {
  @Test("exit codes and signals are told")
  func plainEnds() async {
    #expect(await perform("exit 7").end == .exited(7))
    #expect(await perform("kill -SEGV $$").end == .signaled(11))
    #expect(await perform("kill -KILL $$").end == .signaled(9))
    // A shell that stays behind tells a signal in its own way.
    #expect(await perform("(sh -c 'kill -SEGV $$'); exit $?").end == .exited(139))
  }

  @Test("a program that hangs is over soon after its wall limit")
  func hang() async {
    let run = await perform("sleep 600", limits: limits(wall: 0.3))
    #expect(run.end == .timedOut)
  }

  @Test("a program that ignores SIGTERM is killed, and so are its children")
  func stubborn() async {
    let run = await perform(
      "trap '' TERM; sh -c \"trap '' TERM; while :; do sleep 1; done\" & "
        + "while :; do sleep 1; done", limits: limits(wall: 0.2, grace: 0.3))
    #expect(run.end == .timedOut)
    #expect(run.seconds >= 0.5)
  }

  @Test("a program that is stopped can be ended")
  func stopped() async {
    let run = await perform("kill -STOP $$", limits: limits(wall: 0.3))
    #expect(run.end == .timedOut)
  }

  @Test("SIGTERM leaves time to say something")
  func gentle() async {
    let run = await perform(
      "trap 'echo bye; exit 0' TERM; while :; do sleep 0.05; done",
      limits: limits(wall: 0.3, grace: 5))
    #expect(run.end == .timedOut)
    #expect(run.text == "bye\n")
  }

  @Test("a child that holds the output is not waited for beyond the grace")
  func leftover() async {
    let run = await perform("echo one; sleep 600 & exit 5", limits: limits(grace: 0.3))
    #expect(run.end == .exited(5))
    #expect(run.text == "one\n")
  }

  @Test("a child that writes within the grace is heard")
  func lateChild() async {
    let run = await perform("(sleep 0.2; echo late) & exit 0", limits: limits(grace: 20))
    #expect(run.end == .exited(0))
    #expect(run.text == "late\n")
  }

  @Test(
    "a child in a session of its own is not waited for either", arguments: ["sleep 120", "yes"])
  func session(command: String) async {
    let child = "setsid sh -c 'sleep 0.05; exec timeout 120 \(command)' & exit 0"
    let run = await perform(child, limits: limits(grace: 0.3))
    #expect(run.end == .exited(0))
  }

  @Test("a child in a session of its own that holds the input blocks nobody")
  func sessionWithInput() async {
    let run = await perform(
      "exec 3<&0; setsid sleep 120 <&3 >/dev/null 2>&1 & exit 0", limits: limits(grace: 0.3)
    ) { feedPattern($0, byteCount: 100_000_000) }
    #expect(run.end == .exited(0))
    #expect(!run.result.inputWasTaken)
  }

  @Test("a caller that has changed its mind is heard")
  func cancellation() async {
    let start = ContinuousClock.now
    let run = await perform("sleep 600", isCancelled: { .now - start > .milliseconds(300) })
    #expect(run.end == .cancelled)
    #expect(await perform("sleep 600", isCancelled: { true }).end == .cancelled)
  }

  @Test("memory beyond the limit is refused to the program")
  func memory() async {
    let allocation = "python3 -c 'x = bytearray(1 << 30); print(len(x))'"
    let run = await perform(allocation, limits: limits(memory: 256 << 20))
    #expect(run.end == .exited(1))
    #expect(run.result.errorTail.contains("MemoryError"))
    #expect(run.text == "")
  }

  @Test("processor time beyond the limit is told as such, even when SIGXCPU is ignored")
  func processor() async {
    let soft = await perform("while :; do :; done", limits: limits(cpu: 1))
    #expect(soft.end == .cpuLimit)
    let hard = await perform(
      "python3 -c 'import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile 1: pass'",
      limits: limits(cpu: 1))
    #expect(hard.end == .cpuLimit)
    // Killed by somebody else, and long before.
    #expect(await perform("kill -KILL $$", limits: limits(cpu: 50)).end == .signaled(9))
  }

  @Test("what cannot be started is told apart from what exits with 127")
  func launching() async {
    func isRefused(_ run: Run) -> Bool {
      if case .launchFailed(let reason) = run.end { return !reason.isEmpty }
      return false
    }
    #expect(isRefused(await perform("no-such-command --at all")))
    #expect(isRefused(await perform("A=1 exec no-such-command")))
    #expect(isRefused(await perform("/etc/passwd")))
    #expect(isRefused(await perform("/")))
    #expect(isRefused(await perform("true", directory: "/no/such/directory")))
    #expect(isRefused(await perform("true\0false")))
    #expect(isRefused(await perform("true", environment: ["A=B": "c"])))
    #expect(isRefused(await perform("true " + String(repeating: "x", count: 1 << 18))))
    #expect(await perform("exit 127").end == .exited(127))
    #expect(await perform("sh -c 'exit 126'").end == .exited(126))
    #expect(await perform("cd / && no-such-command").end == .exited(127))
  }

  @Test("a limit under which no shell can live is a failure to start")
  func tooLittle() async {
    let run = await perform("echo ran", limits: limits(memory: 1 << 20))
    if case .launchFailed = run.end {} else { Issue.record("\(run.end)") }
    #expect(run.text == "")
  }

  @Test("a limit that the shell cannot set is a failure to start", .enabled(if: getuid() != 0))
  func unsettableLimit() async {
    // No limit of this process can be raised beyond its hard one, unless by root.
    var before = rlimit()
    getrlimit(__rlimit_resource_t(RLIMIT_CPU.rawValue), &before)
    let run = await perform("echo ran", limits: limits(cpu: Int(clamping: before.rlim_max)))
    if before.rlim_max < 1 << 30 {
      if case .launchFailed = run.end {} else { Issue.record("\(run.end)") }
    }
  }
}
