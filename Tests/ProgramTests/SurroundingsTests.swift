// SurroundingsTests — what a program finds around it, and what it leaves around us.
//
// Room:    Tests of Programs.

import Foundation
import Testing
import TurbiditePrograms

@Suite("Programs: surroundings", .serialized)
struct SurroundingsTests {
  @Test("variables are added to the environment, over what is there")
  func environment() async {
    let run = await perform(
      #"printf '%s|%s|%s' "$ONE" "$HOME" "${PATH:+path}""#,
      environment: ["ONE": "a b\n'\"", "HOME": "/nowhere"])
    #expect(run.text == "a b\n'\"|/nowhere|path")
  }

  @Test("the working directory is the one that was asked for")
  func directory() async {
    #expect(await perform("pwd", directory: "/usr").text == "/usr\n")
    let own = FileManager.default.currentDirectoryPath
    #expect(await perform("pwd -P").text == own + "\n")
  }

  @Test("no signal is blocked or ignored, no other descriptor is open, and nobody else's group")
  func dispositions() async {
    let run = await perform("grep -E 'SigBlk|SigIgn' /proc/self/status; ls /proc/self/fd | wc -l")
    let lines = run.text.split(separator: "\n").map { $0.split(separator: "\t").last ?? "" }
    let numbers = lines.compactMap { UInt64($0, radix: 16) }
    // glibc itself uses signals 32 and 33, and posix_spawn ignores them. `ls` has the directory
    // open beside the three.
    #expect(numbers.map { $0 & ~0x1_8000_0000 } == [0, 0, 4])
    let group = await perform("cut -d' ' -f5 /proc/$$/stat; echo $$")
    let pair = group.text.split(separator: "\n")
    #expect(pair.count == 2)
    #expect(pair.first == pair.last)
  }

  @Test("8 programs at a time do not hold each other's pipes")
  func concurrency() async {
    let runs = await withTaskGroup(of: Run.self) { group in
      for number in 0..<8 {
        group.addTask {
          await perform("cat; sleep 0.\(number); echo \(number)") {
            feedPattern($0, byteCount: 3_000_000)
          }
        }
      }
      return await group.reduce(into: []) { $0.append($1) }
    }
    #expect(runs.count == 8)
    for run in runs {
      #expect(run.end == .exited(0))
      #expect(run.output.count == 3_000_002)
      #expect(run.result.inputWasTaken)
    }
  }

  @Test("200 runs leave no descriptor, no thread and no zombie behind")
  func leaks() async {
    func count(_ path: String) -> Int {
      (try? FileManager.default.contentsOfDirectory(atPath: path).count) ?? 0
    }
    func zombieCount() async -> Int {
      await onThread {
        let own = getpid()
        let processes = try! FileManager.default.contentsOfDirectory(atPath: "/proc")
        return processes.count { name in
          guard Int(name) != nil,
            let status = try? String(contentsOfFile: "/proc/\(name)/stat", encoding: .utf8),
            let end = status.lastIndex(of: ")")
          else { return false }
          let fields = status[end...].split(separator: " ")
          return fields[1] == "Z" && fields[2] == "\(own)"
        }
      }
    }
    for _ in 0..<3 { _ = await perform("true") }
    let descriptorCount = count("/proc/self/fd")
    let threadCount = count("/proc/self/task")
    for number in 0..<200 {
      switch number % 5 {
      case 0: _ = await perform("no-such-command")
      case 1: _ = await perform("kill -9 $$")
      case 2: _ = await perform("true", directory: "/no/such/directory")
      case 3: _ = await perform("exit 0") { feedPattern($0, byteCount: 1 << 20) }
      default: _ = await perform("echo reporter:x >&2; echo y")
      }
    }
    // Other tests of the process have some that come and go; one a run would be 200.
    #expect(count("/proc/self/fd") < descriptorCount + 100)
    #expect(count("/proc/self/task") < threadCount + 100)
    #expect(await zombieCount() < 100)
  }
}
