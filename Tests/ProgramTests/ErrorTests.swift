// ErrorTests — standard error is sorted into reports and a tail that cannot grow.
//
// Room:    Tests of Programs.

import Synchronization
import Testing

@testable import TurbiditePrograms

@Suite("Programs: standard error")
struct ErrorTests {
  @Test("lines that begin with reporter: are told, the others are the tail")
  func sorted() async {
    let run = await perform(
      "echo reporter:counter:a,b,1 >&2; echo oops >&2; echo ' reporter:no' >&2; "
        + "echo reporter:status:done >&2; printf reporter:cut >&2")
    #expect(run.end == .exited(0))
    #expect(run.reports == ["reporter:counter:a,b,1", "reporter:status:done"])
    #expect(run.result.errorTail == "oops\n reporter:no\nreporter:cut")
  }

  @Test("a line without end is cut, and no memory grows with it")
  func endlessLine() async {
    let run = await perform("head -c 50000000 /dev/zero | tr '\\0' x >&2; echo end >&2")
    #expect(run.end == .exited(0))
    #expect(run.result.errorTail.utf8.count == 4096)
    #expect(run.result.errorTail.hasSuffix("xxxend\n"))
  }

  @Test("a report without end is none")
  func endlessReport() {
    let told = Mutex(0)
    var lines = ErrorLines(mark: "m") { _ in told.withLock { $0 += 1 } }
    lines.append(Array("m\nreporter:".utf8)[...])
    for _ in 0..<1000 { lines.append([UInt8](repeating: 120, count: 1000)[...]) }
    lines.append(Array("\nreporter:x\n".utf8)[...])
    #expect(told.withLock { $0 } == 1)
    #expect(lines.finish().utf8.count == 4096)
  }

  @Test("however the bytes are cut, the same is told", arguments: [1, 2, 3, 7, 64])
  func cuts(step: Int) {
    let told = Mutex<[String]>([])
    var lines = ErrorLines(mark: "mark") { line in told.withLock { $0.append(line) } }
    let bytes = Array("before\nmark\nrep\nreporter:1\nmark\n\nreporter:\nreporter".utf8)
    for start in stride(from: 0, to: bytes.count, by: step) {
      lines.append(bytes[start..<min(start + step, bytes.count)])
    }
    #expect(lines.isMarked)
    #expect(told.withLock { $0 } == ["reporter:1", "reporter:"])
    #expect(lines.finish() == "before\nrep\nmark\n\nreporter")
  }

  @Test("the tail is text: no control characters, no broken UTF-8, at most 4 KiB")
  func text() async {
    let run = await perform(#"printf 'a\033[2J\377b\342\200\256c\n' >&2"#)
    #expect(run.result.errorTail == "a\u{FFFD}[2J\u{FFFD}b\u{FFFD}c\n")
    let binary = await perform("head -c 100000 /dev/urandom >&2").result.errorTail
    #expect(binary.utf8.count <= 4096)
    #expect(binary.unicodeScalars.allSatisfy { $0.value >= 32 || $0 == "\n" || $0 == "\t" })
  }
}
