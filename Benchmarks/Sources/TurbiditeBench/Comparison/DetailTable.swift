// DetailTable — every workload and engine with its latencies and costs, as Markdown.
//
// Room:    Benchmarks.

/// Medians over the rounds; the longest operation is the longest of all rounds.
struct DetailTable {
  private static let header = [
    "workload", "engine", "operations", "p50", "p99", "p99.9", "longest", "processor",
    "peak memory",
    "on disk", "written",
  ]

  private let comparison: Comparison

  init(_ comparison: Comparison) { self.comparison = comparison }

  var markdown: String {
    var rows = [Self.header, Self.header.map { _ in "---" }]
    for workload in WorkloadGroup.allCases.flatMap(\.workloads) {
      for kind in PeerKind.all {
        let outcomes = comparison.outcomes.filter {
          $0.workload == workload && $0.engine == kind.name
        }
        if !outcomes.isEmpty { rows.append([workload, kind.title] + cells(outcomes)) }
      }
    }
    return rows.map { "| " + $0.joined(separator: " | ") + " |" }.joined(separator: "\n")
  }

  private func cells(_ outcomes: [Outcome]) -> [String] {
    func middle(_ number: (Outcome) -> Double) -> Double { median(outcomes.map(number)) }
    func latency(_ number: (Outcome) -> Double?) -> String {
      let numbers = outcomes.compactMap(number)
      return numbers.isEmpty ? "" : Quantity.p999.text(median(numbers))
    }
    let longest = outcomes.compactMap(\.longest).max()
    return [
      Quantity.rate.text(middle(\.operationsPerSecond)),
      latency(\.p50), latency(\.p99), latency(\.p999),
      longest.map(Quantity.longest.text) ?? "",
      rounded(middle(\.processorSeconds), 2) + " s",
      rounded(middle(\.peakMebibytes), 0) + " MiB",
      rounded(middle { Double($0.diskByteCount) } / 1_048_576, 0) + " MiB",
      rounded(middle { Double($0.writtenByteCount) } / 1_048_576, 0) + " MiB",
    ]
  }
}
