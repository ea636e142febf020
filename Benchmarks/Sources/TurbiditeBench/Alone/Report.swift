// Report — what a workload has measured, line by line.
//
// Room:    Benchmarks.

/// One number, and what it may be.
struct Measurement {
  var workload: String
  var name: String
  var number: Double
  var unit: String
  var digits = 1
  /// The number may not exceed this.
  var target: Double?

  var passes: Bool { target.map { number <= $0 } ?? true }
}

/// Prints measurements as they come.
struct Report {
  private(set) var passes = true

  func printHeader() {
    say(line("workload", "what", "number", "unit", "target"))
    say(line("--------", "----", "------", "----", "------"))
  }

  mutating func add(_ measurement: Measurement) {
    if !measurement.passes { passes = false }
    let target = measurement.target.map {
      "<= \(rounded($0, measurement.digits)) \(measurement.passes ? "met" : "MISSED")"
    }
    say(
      line(
        measurement.workload, measurement.name, rounded(measurement.number, measurement.digits),
        measurement.unit, target ?? ""))
  }

  private func line(
    _ workload: String, _ name: String, _ number: String, _ unit: String, _ target: String
  ) -> String {
    var text = pad(workload, 10) + pad(name, 44)
    text += String(repeating: " ", count: max(0, 12 - number.count)) + number + " "
    text += pad(unit, 12) + target
    while text.last == " " { text.removeLast() }
    return text
  }

  private func pad(_ text: String, _ count: Int) -> String {
    text + String(repeating: " ", count: max(1, count - text.count))
  }
}
