// SandboxTests — the walls stand, and ends are seen through them.
//
// Room:    Tests of Programs.

import Foundation
import Testing
import TurbiditePrograms

/// Whether programs can be shut in here; says so when they cannot.
private func isPossible() async -> Bool {
  guard let refusal = await onThread({ Sandbox.refusal() }) else { return true }
  print("Sandboxes are not tested: \(refusal)")
  return false
}

@Suite(
  "Programs: the sandbox",
  .enabled("bwrap is missing or refused by the kernel; the reason is printed", isPossible))
struct SandboxTests {
  private func run(
    _ command: String, environment: [String: String] = [:], directory: String? = nil,
    limits: ProgramLimits = limits(), writable: [String] = []
  ) async -> Run {
    await perform(
      command, environment: environment, directory: directory, limits: limits,
      sandbox: Sandbox(writableDirectories: writable)
    ) { feedPattern($0, byteCount: 100_000) }
  }

  @Test("input, output, reports and variables pass")
  func passing() async {
    let run = await run(
      "cat; echo reporter:$ONE >&2; echo tail >&2", environment: ["ONE": "two words"])
    #expect(run.end == .exited(0))
    #expect(run.output == Array(patternPiece.prefix(100_000)))
    #expect(run.reports == ["reporter:two words"])
    #expect(run.result.errorTail == "tail\n")
    #expect(run.result.inputWasTaken)
  }

  @Test("exit codes pass, and signals as 128 + n")
  func ends() async {
    #expect(await run("exit 9").end == .exited(9))
    #expect(await run("kill -SEGV $$").end == .exited(139))
  }

  @Test("root has no more rights inside than anybody")
  func root() async {
    let run = await run("grep CapEff /proc/self/status | tr -d '\\t'")
    #expect(run.text == "CapEff:0000000000000000\n")
    for command in [
      "mount -o remount,rw,bind /", "umount -l /tmp",
      // What is written would change nothing.
      "cat /proc/sys/kernel/core_pattern >/proc/sys/kernel/core_pattern",
    ] {
      #expect(await self.run("{ \(command); } 2>/dev/null && echo done").text == "", "\(command)")
    }
  }

  @Test("there is no network")
  func network() async {
    let run = await run("tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' '")
    #expect(run.text == "lo\n")
    let address = "import socket; socket.create_connection((\"8.8.8.8\", 53), 2)"
    let connected = await self.run("python3 -c '\(address)'")
    #expect(connected.end == .exited(1))
    #expect(connected.result.errorTail.contains("Error"))
  }

  @Test("nothing outside can be written to")
  func writing() async {
    let directory = newDirectory(in: FileManager.default.currentDirectoryPath + "/.build")
    defer { try! FileManager.default.removeItem(atPath: directory) }
    let run = await run("echo x >\(directory)/file || echo refused; touch /etc/x || echo refused")
    #expect(run.text == "refused\nrefused\n")
    #expect(try! FileManager.default.contentsOfDirectory(atPath: directory).isEmpty)
  }

  @Test("/tmp is its own, and empty")
  func temporary() async {
    let path = newDirectory(in: "/tmp")
    defer { try! FileManager.default.removeItem(atPath: path) }
    let run = await run("ls -A /tmp; echo x >/tmp/x && cat /tmp/x; test -e \(path) || echo hidden")
    #expect(run.text == "x\nhidden\n")
    #expect(!FileManager.default.fileExists(atPath: "/tmp/x"))
  }

  @Test("a directory that is bound can be written to, and be worked in")
  func bound() async {
    let path = newDirectory(in: "/tmp")
    defer { try! FileManager.default.removeItem(atPath: path) }
    let run = await run("pwd; echo x >file", directory: path, writable: [path])
    #expect(run.end == .exited(0))
    #expect(run.text == path + "\n")
    #expect(FileManager.default.contents(atPath: path + "/file") == Data("x\n".utf8))
    let readOnly = await self.run("cat file; touch other || echo refused", directory: path)
    #expect(readOnly.text == "x\nrefused\n")
  }

  @Test("no other process is seen, and none is left")
  func processes() async {
    let run = await run("sleep 600 & setsid sleep 600 & ls -d /proc/[0-9]* | wc -l")
    #expect(run.end == .exited(0))
    #expect(Int(run.text.split(separator: "\n").first ?? "") ?? 100 <= 8)
  }

  @Test("limits hold inside")
  func withinLimits() async {
    #expect(await run("sleep 600", limits: limits(wall: 0.3)).end == .timedOut)
    #expect(await run("yes", limits: limits(output: 1000)).end == .outputLimit)
    let busy = await run("while :; do :; done", limits: limits(cpu: 1))
    #expect(busy.end == .cpuLimit)
    let allocation = "python3 -c 'x = bytearray(1 << 30); print(len(x))'"
    let large = await run(allocation, limits: limits(memory: 256 << 20))
    #expect(large.end == .exited(1))
  }

  @Test("a sandbox that cannot be built is a failure to start, and no exit of the program")
  func refusals() async {
    for run in [
      await run("exit 0", writable: ["/no/such/directory"]),
      await run("exit 0", directory: "/no/such/directory"), await run("no-such-command"),
    ] {
      if case .launchFailed(let reason) = run.end {
        #expect(reason.contains("/") || reason.contains("no-such"))
      } else {
        Issue.record("\(run.end)")
      }
    }
  }

  @Test("variables that the loader obeys reach the program only")
  func loader() async {
    let run = await run("true", environment: ["LD_PRELOAD": "/no/such/library.so"])
    #expect(run.end == .exited(0))
  }
}
