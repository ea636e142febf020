// JobDefinition — what a job of programs is: the same definition is the same job.
//
// Room:    ProgramJobs.
// Format:  FORMAT.md section 9.

import Turbidite
import TurbiditeEngine

/// Where a job's results go.
package enum JobDestination: Sendable, Hashable {
  /// A directory that does not exist yet: a file for each reducer, as it printed it.
  case directory(String)
  case keyspace(String)
  case stream(String)
  /// Lines in the order of their keys.
  case standardOutput
}

/// What decides a job's results.
package struct JobDefinition: Sendable, Hashable {
  /// The keyspace; nil is the default one, or stands beside a stream.
  package var keyspace: String?
  /// The stream, if one is read.
  package var stream: String?
  package var from: [UInt8]?
  package var to: [UInt8]?
  /// Nil: records as they are.
  package var map: String?
  package var combine: String?
  /// Nil: what was emitted, in the order of the keys.
  package var reduce: String?
  package var destination: JobDestination
  package var replaces = false
  /// The hash of a key chooses the reducer that gets it.
  package var reducerCount = 2
  package var form = LineParser.Form.lines
  /// Whether the mapper gets no keys.
  package var takesValuesOnly = false
  package var splitByteCount = 32 << 20
  package var isSandboxed = false
  package var environment: [String: String] = [:]
  /// Where programs are run, and from where paths in commands are meant; nil for wherever.
  package var directory: String?

  package init(destination: JobDestination) { self.destination = destination }

  /// Its fields, in an order of their own.
  var fields: [(name: String, value: String)] {
    var fields: [(String, String)] = [("format", "1")]
    func add(_ name: String, _ value: String?) {
      if let value { fields.append((name, value)) }
    }
    add("keyspace", keyspace)
    add("stream", stream)
    add("from", from.map(hexadecimal))
    add("to", to.map(hexadecimal))
    add("map", map)
    add("combine", combine)
    add("reduce", reduce)
    switch destination {
    case .directory(let path): add("directory", path)
    case .keyspace(let name): add("into keyspace", name)
    case .stream(let name): add("into stream", name)
    case .standardOutput: add("standard output", "")
    }
    if replaces { add("replaces", "") }
    add("reducers", String(reducerCount))
    if form == .frames { add("frames", "") }
    if takesValuesOnly { add("values only", "") }
    add("split bytes", String(splitByteCount))
    if isSandboxed { add("sandbox", "") }
    add("working directory", directory)
    for (name, value) in environment.sorted(by: { $0.key < $1.key }) {
      add("variable \(name)", value)
    }
    return fields
  }

  /// The name of the job's directory.
  package var id: String {
    let bytes = Bytes(TextFile.text(of: fields))
    let hash = bytes.withBytes { FieldScan.hash(of: $0) }
    let digits = String(hash, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }

  /// Reads what ``fields`` wrote; nil where it is no definition.
  init?(_ fields: [(name: String, value: String)]) {
    guard fields.first?.name == "format", fields.first?.value == "1" else { return nil }
    self.init(destination: .standardOutput)
    for (name, value) in fields.dropFirst() {
      switch name {
      case "keyspace": keyspace = value
      case "stream": stream = value
      case "from":
        guard let bytes = bytes(ofHexadecimal: value) else { return nil }
        from = bytes
      case "to":
        guard let bytes = bytes(ofHexadecimal: value) else { return nil }
        to = bytes
      case "map": map = value
      case "combine": combine = value
      case "reduce": reduce = value
      case "directory": destination = .directory(value)
      case "into keyspace": destination = .keyspace(value)
      case "into stream": destination = .stream(value)
      case "standard output": destination = .standardOutput
      case "replaces": replaces = true
      case "reducers":
        guard let count = Int(value), 1...1024 ~= count else { return nil }
        reducerCount = count
      case "frames": form = .frames
      case "values only": takesValuesOnly = true
      case "split bytes":
        guard let count = Int(value), count > 0 else { return nil }
        splitByteCount = count
      case "sandbox": isSandboxed = true
      case "working directory": directory = value
      default:
        guard name.hasPrefix("variable ") else { return nil }
        environment[String(name.dropFirst("variable ".count))] = value
      }
    }
  }

  /// What the job reads in a store.
  func source(in store: Store) throws(StoreError) -> JobSource {
    if let stream { return .events(of: try store.blocking.stream(stream)) }
    let space = try keyspace.map { name throws(StoreError) in try store.blocking.keyspace(name) }
    return .scan(
      KeyRange(from: from.map { Bytes($0) }, to: to.map { Bytes($0) }), in: space ?? .default)
  }
}

func hexadecimal(_ bytes: [UInt8]) -> String {
  bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
}

func bytes(ofHexadecimal text: String) -> [UInt8]? {
  let digits = Array(text.utf8)
  guard digits.count % 2 == 0 else { return nil }
  var bytes: [UInt8] = []
  for index in stride(from: 0, to: digits.count, by: 2) {
    guard let text = String(validating: digits[index...index + 1], as: UTF8.self),
      let byte = UInt8(text, radix: 16)
    else { return nil }
    bytes.append(byte)
  }
  return bytes
}
