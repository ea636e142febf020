// JobTable — medians over the rounds, one line a tool, and ours against each.
//
// Room:    Benchmarks.

struct JobTable {
  private let outcomes: [JobOutcome]
  private let tasks: [JobTask]
  private let tools: [JobTool]

  init(_ outcomes: [JobOutcome]) {
    self.outcomes = outcomes
    tasks = JobTask.allCases.filter { task in outcomes.contains { $0.task == task } }
    tools = JobTool.all.filter { tool in outcomes.contains { $0.tool == tool.name } }
  }

  private func median(
    _ tool: JobTool, _ task: JobTask, _ value: (JobOutcome) -> Double?
  ) -> Double? {
    let values = outcomes.filter { $0.tool == tool.name && $0.task == task }.compactMap(value)
    return values.isEmpty ? nil : turbidite_bench.median(values)
  }

  var text: String {
    let header = ["tool"] + tasks.flatMap { [$0.title + ", s", "CPU s", "peak MiB"] }
    let lines = tools.map { tool in
      let scaled = tool.share == .tenth ? " (*)" : ""
      return [tool.title + scaled]
        + tasks.flatMap { task in
          [
            median(tool, task, \.seconds).map { rounded($0) } ?? "-",
            median(tool, task, \.processorSeconds).map { rounded($0) } ?? "-",
            median(tool, task, \.cost.peakMebibytes).map { rounded($0, 0) } ?? "-",
          ]
        }
    }
    var text = Self.aligned([header] + lines)
    if tools.contains(where: { $0.share == .tenth }) {
      text += "\n(*) on the first tenth of the data: its seconds are ten times what that took,"
      text += " from the start of its process"
    }
    return text
  }

  /// Nil when ours was not measured, or nobody else.
  var ratios: String? {
    let ours = tools.filter(\.isOurs)
    let others = tools.filter { !$0.isOurs }
    guard !ours.isEmpty, !others.isEmpty else { return nil }
    let header =
      ["times as fast as"] + ours.flatMap { ours in tasks.map { "\(ours.title), \($0.title)" } }
    func cells(_ theirs: JobTool, _ value: (JobOutcome) -> Double) -> [String] {
      ours.flatMap { ours in
        tasks.map { task in
          guard let their = median(theirs, task, \.seconds), let our = median(ours, task, value)
          else { return "-" }
          return rounded(their / our, 2)
        }
      }
    }
    let lines = others.map { [$0.title] + cells($0, \.seconds) }
    let withPreparation = others.map {
      [$0.title] + cells($0) { $0.seconds + ($0.preparation?.seconds ?? 0) }
    }
    var text = Self.aligned([header] + lines)
    let preparations = ours.flatMap { ours in
      tasks.compactMap { task in
        median(ours, task, \.preparation?.seconds).map {
          "\(ours.title), \(task.title): \(rounded($0)) s"
        }
      }
    }
    text += "\n\nloading beforehand took " + preparations.joined(separator: "; ")
    text += "; with that counted:\n" + Self.aligned([header] + withPreparation)
    return text
  }

  /// The first column to the left, the others to the right.
  private static func aligned(_ rows: [[String]]) -> String {
    let widths = rows[0].indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
    return rows.map { cells in
      cells.indices.map { column in
        let blanks = String(repeating: " ", count: widths[column] - cells[column].count)
        return column == 0 ? cells[column] + blanks : blanks + cells[column]
      }.joined(separator: "  ")
    }.joined(separator: "\n")
  }
}
