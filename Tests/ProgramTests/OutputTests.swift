// OutputTests — bytes go in and come out whole, whatever the program does with them.
//
// Room:    Tests of Programs.

import Foundation
import Synchronization
import Testing
import TurbiditePrograms

@Suite("Programs: input and output")
struct OutputTests {
  @Test("300 MB go through cat unchanged")
  func wholeStream() async {
    let byteCount = 300_000_000
    let piece = patternPiece
    let program = Program(command: "cat", limits: limits())
    let (result, differenceCount) = await onThread {
      var position = 0
      var differenceCount = 0
      let result = runProgram(
        program, feed: { feedPattern($0, byteCount: byteCount) },
        receive: { bytes in
          var rest = bytes[...]
          while !rest.isEmpty {
            let offset = position % piece.count
            let count = min(rest.count, piece.count - offset)
            let isEqual = piece.withUnsafeBytes {
              memcmp($0.baseAddress! + offset, rest.base.baseAddress! + rest.startIndex, count) == 0
            }
            differenceCount += isEqual ? 0 : 1
            position += count
            rest = rest.dropFirst(count)
          }
          return true
        }, report: { _ in }, isCancelled: { false })
      return (result, differenceCount)
    }
    #expect(result.end == .exited(0))
    #expect(result.outputByteCount == byteCount)
    #expect(differenceCount == 0)
    #expect(result.inputWasTaken)
  }

  @Test("small writes arrive in order")
  func smallWrites() async {
    let run = await perform("awk '{ s += $1 } END { print NR, s }'") { input in
      for number in 1...50_000 {
        _ = Array("\(number)\n".utf8).withUnsafeBytes { input.write($0) }
      }
    }
    #expect(run.end == .exited(0))
    #expect(run.text == "50000 1250025000\n" || run.text == "50000 1.25003e+09\n")
    #expect(run.result.inputWasTaken)
  }

  @Test("a program that ignores 100 MB of input ends well, and its input was not taken")
  func ignoredInput() async {
    let taken = Mutex(0)
    let run = await perform("exit 0") { input in
      let count = feedPattern(input, byteCount: 100_000_000)
      taken.withLock { $0 = count }
    }
    #expect(run.end == .exited(0))
    #expect(!run.result.inputWasTaken)
    #expect(taken.withLock { $0 } < 100_000_000)
  }

  @Test("a short input that lies in the pipe unread was not taken")
  func unreadInput() async {
    let unread = await perform("exit 3") { feedPattern($0, byteCount: 10) }
    #expect(unread.end == .exited(3))
    #expect(!unread.result.inputWasTaken)
    let read = await perform("head -c 10 >/dev/null") { feedPattern($0, byteCount: 10) }
    #expect(read.result.inputWasTaken)
    let slow = await perform("sleep 0.3; cat >/dev/null") { feedPattern($0, byteCount: 100) }
    #expect(slow.result.inputWasTaken)
  }

  @Test("a program that closes its output early, and works on, is waited for")
  func closedOutput() async {
    let run = await perform("echo one; exec >&-; sleep 0.2; exit 4")
    #expect(run.end == .exited(4))
    #expect(run.text == "one\n")
  }

  @Test("a program that prints nothing gives nothing")
  func silence() async {
    let run = await perform("true")
    #expect(run.end == .exited(0))
    #expect(run.result.outputByteCount == 0)
    #expect(run.result.errorTail == "")
    #expect(run.result.inputWasTaken)
  }

  @Test("endless output ends at its limit, and what is within it arrives")
  func endlessOutput() async {
    let run = await perform("yes", limits: limits(output: 1_000_001))
    #expect(run.end == .outputLimit)
    #expect(run.output.count == 1_000_001)
    #expect(run.result.outputByteCount == 1_000_001)
  }

  @Test("output of exactly the limit is allowed")
  func exactOutput() async {
    let run = await perform("head -c 100000 /dev/zero", limits: limits(output: 100_000))
    #expect(run.end == .exited(0))
    #expect(run.output.count == 100_000)
  }

  @Test("a receiver that wants no more ends the program")
  func unwantedOutput() async {
    let program = Program(command: "yes", limits: limits())
    let result = await onThread {
      runProgram(
        program, feed: { _ in }, receive: { _ in false }, report: { _ in }, isCancelled: { false })
    }
    #expect(result.end == .cancelled)
  }

  @Test("pieces of a steady output are large, and of a slow one whole lines")
  func pieces() async {
    let (steady, slow) = await onThread {
      func sizes(_ command: String) -> [Int] {
        var sizes: [Int] = []
        _ = runProgram(
          Program(command: command), feed: { _ in },
          receive: { bytes in
            sizes.append(bytes.count)
            return true
          }, report: { _ in }, isCancelled: { false })
        return sizes
      }
      return (sizes("seq 1 200000"), sizes("echo a; sleep 0.4; echo b"))
    }
    #expect(steady.dropLast().allSatisfy { $0 >= 65_536 })
    // On a machine that is busy both lines may have come before anyone looks.
    #expect(slow.reduce(0, +) == 4)
    #expect(slow.allSatisfy { $0 % 2 == 0 })
  }
}
