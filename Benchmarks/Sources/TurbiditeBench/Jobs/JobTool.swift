// JobTool — what does the jobs: tools of others, and ours.
//
// Room:    Benchmarks.

/// A tool that the comparison knows by name.
struct JobTool: Sendable {
  var name: String
  var title: String
  /// What slower tools get; their seconds are scaled, and the table says so.
  var share = JobShare.whole
  /// Programs that must be there.
  var programs: [String] = []
  /// From PyPI.
  var package: String?
  /// Whether it is one of `jobEngines`, and has steps before and after the timed one.
  var isOurs = false
  /// The program that is timed, with its arguments.
  var command: @Sendable (JobTask, JobPaths) -> [String]
  /// Shell that prints the output `$1` as lines `key TAB value`, in any order; not timed.
  var lines = #"cat "$1""#

  static let all = jobEngines.map(ours) + others

  static func named(_ name: String) throws -> JobTool {
    if let tool = all.first(where: { $0.name == name }) { return tool }
    let names = all.map(\.name).joined(separator: ", ")
    throw Stop("\(name): no such tool; there are \(names)")
  }

  private static func ours(_ engine: any JobEngine) -> JobTool {
    let name = engine.name
    return JobTool(name: name, title: name, isOurs: true) {
      JobStepCommand.arguments(.run, name, $0, $1)
    }
  }

  private static let others = [
    sort, awk, python,
    JobTool(name: "mrjob", title: "mrjob, local", share: .tenth, package: "mrjob") { task, paths in
      shell(
        """
        exec "$3" "$4/mrjob_\(task.rawValue).py" -r local --num-cores 2 "$1" >"$2"
        """, paths, [PythonEnvironment.python, PythonEnvironment.scripts])
    },
    pythonTool("duckdb", "DuckDB"),
    pythonTool("polars", "Polars"),
    pythonTool("dask", "Dask bag"),
    spark,
  ]

  /// Lines of one key sort together, because a tab comes before every letter.
  ///
  /// With buffers of this size `sort` is faster than with as much memory as it would take.
  private static let sort = JobTool(
    name: "sort", title: "sort | uniq -c", programs: ["sort", "mawk"],
    command: { task, paths in
      switch task {
      case .wordCount:
        shell(#"tr ' ' '\n' <"$1" | sort -S 64M --parallel=2 | uniq -c >"$2""#, paths)
      case .groupSum:
        shell(
          #"""
          sort -S 64M --parallel=2 "$1" | mawk -F '\t' '
            $1 != key { if (NR > 1) printf "%s\t%.0f\n", key, sum; key = $1; sum = 0 }
            { sum += $2 }
            END { if (NR > 0) printf "%s\t%.0f\n", key, sum }' >"$2"
          """#, paths)
      }
    },
    // `uniq` writes the count first, and a blank; `mawk` has written what is wanted.
    lines: #"mawk '/\t/ { print; next } { print $2 "\t" $1 }' "$1""#)

  private static let awk = JobTool(name: "awk", title: "awk (mawk)", programs: ["mawk"]) {
    task, paths in
    switch task {
    case .wordCount:
      shell(
        #"""
        exec mawk '{ for (i = 1; i <= NF; i++) count[$i]++ }
          END { for (word in count) printf "%s\t%.0f\n", word, count[word] }' "$1" >"$2"
        """#, paths)
    case .groupSum:
      shell(
        #"""
        exec mawk -F '\t' '{ sum[$1] += $2 }
          END { for (key in sum) printf "%s\t%.0f\n", key, sum[key] }' "$1" >"$2"
        """#, paths)
    }
  }

  private static let python = JobTool(name: "python", title: "Python", programs: ["python3"]) {
    ["python3", "\(PythonEnvironment.scripts)/plain.py", $0.rawValue, $1.input, $1.output]
  }

  private static let spark: JobTool = {
    var tool = pythonTool("pyspark", "PySpark local[2]")
    tool.programs = ["java"]
    tool.lines = #"cat "$1"/part-*"#
    return tool
  }()

  private static func pythonTool(_ package: String, _ title: String) -> JobTool {
    JobTool(name: package, title: title, package: package) {
      [
        PythonEnvironment.python, "\(PythonEnvironment.scripts)/\(package)_job.py", $0.rawValue,
        $1.input, $1.output,
      ]
    }
  }

  /// A script in the C locale: `$1` is the input, `$2` the output, and `$3` the first of more.
  private static func shell(
    _ script: String, _ paths: JobPaths, _ more: [String] = []
  ) -> [String] {
    ["env", "LC_ALL=C", "sh", "-c", script, "sh", paths.input, paths.output] + more
  }
}
