import Testing

@testable import TurbiditeCLI

@Suite("Numbers")
struct NumbersTests {
  @Test("thousands are grouped")
  func grouped() {
    let expected: [(Int64, String)] = [
      (0, "0"), (12, "12"), (999, "999"), (1000, "1,000"), (63440, "63,440"),
      (1_234_567, "1,234,567"), (-1234, "-1,234"), (-999, "-999"),
    ]
    for (value, text) in expected { #expect(Numbers.grouped(value) == text) }
    #expect(Numbers.counted(1, "file") == "1 file")
    #expect(Numbers.counted(1000, "file") == "1,000 files")
    #expect(Numbers.grouped(UInt64.max) == "18,446,744,073,709,551,615")
  }

  @Test("sizes are rounded to tenths and move up a unit when they reach a thousand")
  func sizes() {
    let expected: [(UInt64, String)] = [
      (0, "0 B"), (999, "999 B"), (1000, "1.0 KB"), (1049, "1.0 KB"), (1050, "1.1 KB"),
      (50_100_000, "50.1 MB"), (999_949, "999.9 KB"), (999_950, "1.0 MB"),
      (UInt64.max, "18.4 EB"),
    ]
    for (value, text) in expected { #expect(Numbers.byteText(value) == text, "\(value)") }
  }

  @Test("times grow from seconds to hours")
  func times() {
    let expected: [(Double, String)] = [
      (0, "0:00"), (2.1, "0:03"), (59.5, "1:00"), (760, "12:40"), (10931, "3:02:11"), (-1, "-"),
      (.infinity, "-"), (.nan, "-"),
    ]
    for (seconds, text) in expected { #expect(Numbers.time(seconds) == text) }
  }
}

@Suite("Table")
struct TableTests {
  private var table: Table {
    var table = Table([.words("name"), .number("bytes"), .words("note")])
    table.add(["a\tb", "1,000", ""])
    table.add(["longer name", "7", "x\u{1b}"])
    return table
  }

  @Test("words lean left, numbers right, and no line ends in spaces")
  func aligned() {
    let style = Style(choice: .never, isTerminal: false)
    #expect(
      table.lines(style: style) == [
        "name         bytes  note",
        "a\\x09b       1,000",
        "longer name      7  x\\x1b",
      ])
  }

  @Test("as TSV it has a header, and tabs within cells are escaped")
  func tabSeparated() {
    #expect(
      table.tabSeparated() == [
        "name\tbytes\tnote", "a\\tb\t1,000\t", "longer name\t7\tx\\x1b",
      ])
  }
}

@Suite("HexDump")
struct HexDumpTests {
  @Test("a row has the layout of hexdump -C")
  func row() {
    #expect(
      HexDump.row(Array("turbidite\0\u{1}23456".utf8), offset: 0x40)
        == "00000040  74 75 72 62 69 64 69 74  65 00 01 32 33 34 35 36  |turbidite..23456|")
    #expect(
      HexDump.row([0xff], offset: 0)
        == "00000000  ff                                                |.|")
  }
}

@Suite("Style")
struct StyleTests {
  @Test("--color always wins; NO_COLOR, a dumb terminal and no terminal turn colour off")
  func rules() {
    func coloured(_ choice: Choice, _ isTerminal: Bool, _ environment: [String: String]) -> Bool {
      Style(choice: choice, isTerminal: isTerminal) { environment[$0] }.isColoured
    }
    #expect(coloured(.auto, true, ["TERM": "xterm"]))
    #expect(coloured(.auto, true, ["NO_COLOR": ""]))
    #expect(!coloured(.auto, true, ["NO_COLOR": "1"]))
    #expect(!coloured(.auto, true, ["TERM": "dumb"]))
    #expect(!coloured(.auto, false, [:]))
    #expect(coloured(.always, false, ["NO_COLOR": "1", "TERM": "dumb"]))
    #expect(!coloured(.never, true, [:]))
  }
}

@Suite("Progress")
struct ProgressTests {
  /// What a test sees and sets.
  private final class Scene {
    var time = Duration.zero
    var written: [String] = []
  }

  private func progress(
    _ scene: Scene, total: UInt64?, wish: Progress.Wish = .auto, isTerminal: Bool = true,
    loudness: Loudness = .normal
  ) -> Progress {
    Progress(
      title: "load", total: total, wish: wish, isTerminal: isTerminal, loudness: loudness,
      write: { scene.written.append($0) }, now: { scene.time })
  }

  @Test("a terminal gets at most ten lines a second, and a clean line at the end")
  func rate() {
    let scene = Scene()
    var progress = progress(scene, total: 1000)
    for step in 0...2000 {
      scene.time = .milliseconds(step)
      progress.update(records: UInt64(step), bytes: UInt64(step), position: UInt64(step) / 2)
    }
    #expect(scene.written.count == 20)
    #expect(scene.written.allSatisfy { $0.hasPrefix("\r\u{1b}[K") })
    #expect(
      scene.written.last?.hasSuffix(
        "load  [####################] 100 %  2,000 records  1.0 KB/s  eta 0:00") == true)
    progress.clear()
    #expect(scene.written.last == "\r\u{1b}[K")
  }

  @Test("what ends at once shows nothing; quiet and off show nothing; on shows without a terminal")
  func shown() {
    for (wish, isTerminal, loudness, expected) in [
      (Progress.Wish.auto, true, Loudness.normal, true), (.auto, false, .normal, false),
      (.auto, true, .quiet, false), (.off, true, .normal, false), (.on, false, .quiet, true),
    ] {
      let scene = Scene()
      var progress = progress(
        scene, total: nil, wish: wish, isTerminal: isTerminal, loudness: loudness)
      scene.time = .milliseconds(99)
      progress.update(records: 1, bytes: 1, position: 1)
      progress.clear()
      #expect(scene.written.isEmpty)
      scene.time = .seconds(5)
      progress.update(records: 1, bytes: 1, position: 1)
      #expect(scene.written.isEmpty != expected)
    }
  }

  @Test("moments are written as `date -u` writes them")
  func moments() throws {
    let seconds: [UInt64] = [
      0, 59, 951_782_399, 951_782_400, 951_868_800, 1_709_164_800, 1_795_451_269, 4_107_542_400,
      253_402_300_799,
    ]
    let lines = seconds.map { "date -u -d @\($0) +%Y-%m-%dT%H:%M:%SZ" }.joined(separator: "; ")
    let dates = try runProgram("/bin/bash", ["-c", lines])
    #expect(dates.text == seconds.map { Moment.text($0) + "\n" }.joined())
  }
}
