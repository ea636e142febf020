// TurbiditeJobs — ours: in the process, and by the command with other people's programs.
//
// Room:    Benchmarks.

import Glibc
import Turbidite

/// Lines of the input in a store: the number of the line is its key.
private func load(_ paths: JobPaths) throws {
  let store = try Store.Blocking.open(at: paths.store + "/lines")
  var batch = Store.Batch()
  var number: UInt64 = 0
  var key = [UInt8](repeating: 0, count: 8)
  try forEachLine(ofFile: paths.input) { line in
    for index in 0..<8 { key[index] = UInt8(truncatingIfNeeded: number >> UInt64(56 - 8 * index)) }
    batch.put(key: key.span.bytes, value: line)
    number += 1
    if batch.byteCount >= 256 << 10 { try store.blocking.commit(&batch) }
  }
  try store.blocking.commit(&batch)
  // As a store is that is written seldom and read often; the time of it counts as loading.
  try store.blocking.compact()
  try store.blocking.close()
}

private func forEachLine(ofFile path: String, _ body: (RawSpan) throws -> Void) throws {
  guard let file = fopen(path, "r") else { throw Stop("cannot open \(path)") }
  defer { fclose(file) }
  var line: UnsafeMutablePointer<CChar>?
  var capacity = 0
  defer { free(line) }
  while true {
    let count = getline(&line, &capacity, file)
    guard count > 0, let line else { return }
    let bytes = UnsafeRawBufferPointer(start: line, count: count)
    let hasEnd = bytes[count - 1] == 0x0a
    try body(UnsafeRawBufferPointer(rebasing: bytes[..<(hasEnd ? count - 1 : count)]).bytes)
  }
}

/// A closure and a built-in reducer.
struct TurbiditeJobs: JobEngine {
  var name: String { "turbidite" }

  func prepare(_ task: JobTask, _ paths: JobPaths) throws { try load(paths) }

  func run(_ task: JobTask, _ paths: JobPaths) throws {
    let store = try Store.Blocking.open(at: paths.store + "/lines", mode: .readOnly)
    let target = JobTarget.file(paths.output)
    switch task {
    case .wordCount:
      try store.blocking.mapReduce(
        over: .scan(), into: target,
        map: { record, emit in record.value.forEachWord { emit($0, 1) } }, reduce: .sum)
    case .groupSum:
      try store.blocking.mapReduce(
        over: .scan(), into: target,
        map: { record, emit in
          guard let tab = record.value.firstIndex(of: 0x09) else { return }
          emit(record.value.extracting(..<tab), record.value.extracting((tab + 1)...).decimal ?? 0)
        }, reduce: .sum)
    }
    try store.blocking.close()
  }
}

/// The command, with the programs of the shell's pipeline.
struct TurbiditePrograms: JobEngine {
  var name: String { "turbidite programs" }

  func prepare(_ task: JobTask, _ paths: JobPaths) throws { try load(paths) }

  func run(_ task: JobTask, _ paths: JobPaths) throws {
    let command = getenv("TURBIDITE_COMMAND").map { String(cString: $0) } ?? "turbidite"
    let programs =
      switch task {
      case .wordCount: ["--map", "tr -s ' ' '\\n'", "--reduce", "uniq -c"]
      case .groupSum:
        [
          "--reduce",
          #"""
          mawk -F '\t' '
            $1 != key { if (NR > 1) printf "%s\t%.0f\n", key, sum; key = $1; sum = 0 }
            { sum += $2 }
            END { if (NR > 0) printf "%s\t%.0f\n", key, sum }'
          """#,
        ]
      }
    let status = try turbidite_bench.run(
      [command, "mapreduce", paths.store + "/lines", "--values-only", "--quiet"] + programs
        + ["--output", paths.store + "/parts"])
    guard status == 0 else { throw Stop("the command ended with \(status)") }
  }

  /// The parts as lines of a key and a value.
  func writeAnswer(_ task: JobTask, _ paths: JobPaths) throws {
    let lines =
      switch task {
      case .wordCount: #"awk '{ print $2 "\t" $1 }'"#
      case .groupSum: "cat"
      }
    let script = "cat \"$1\"/part-* | \(lines) >\"$2\""
    let status = try turbidite_bench.run(
      ["sh", "-c", script, "sh", paths.store + "/parts", paths.output])
    guard status == 0 else { throw Stop("the parts cannot be read") }
  }
}
