// MapReduceCommand — other people's mappers and reducers over a store.
//
// Room:    Tools/TurbiditeCLI.

import ArgumentParser
import Turbidite
import TurbiditePrograms
import TurbiditeProgramJobs

/// `turbidite mapreduce DIR`.
struct MapReduceCommand: Verb {
  static let configuration = CommandConfiguration(
    commandName: "mapreduce", abstract: "Run a mapper and a reducer over a keyspace or a stream.",
    discussion: """
      The rules are Hadoop Streaming's, so that programs in any language run unchanged. A mapper \
      reads lines, KEY tab VALUE or with --values-only VALUE, which then may be several lines, and \
      prints lines; the key of a line \
      is what stands before its first tab, or all of it. A reducer reads what was printed as it \
      was printed, sorted by key, all of a key together; what it prints are the results. A \
      combiner is a reducer that goes over what one mapper has printed, to make it less. Lines of \
      `reporter:counter:GROUP,NAME,AMOUNT` and `reporter:status:TEXT` on standard error are \
      counted and shown. With --binary both read and print frames: the lengths of key and value \
      (4 bytes each, low byte first), the key, the value.

      Results are the same for any number of workers, and out whole or not at all: in a new \
      directory (a file for each reducer), a new keyspace (keyspace:NAME) or stream (stream:NAME) \
      of the store, or on standard output in the order of their keys. A job sees the store as it \
      is when it begins; killed and given once more, it goes on from the tasks that were done \
      (`turbidite jobs`). A program that fails is tried again; then the record that it fails at \
      is looked for, and set aside as long as --quarantine allows.
      """)

  @Argument(help: "The store's directory.") var directory: String
  @Option(help: ArgumentHelp("The mapper; without it, records as they are.", valueName: "command"))
  var map: String?
  @Option(help: ArgumentHelp("The combiner.", valueName: "command")) var combine: String?
  @Option(
    help: ArgumentHelp("The reducer; without it, what was printed, sorted.", valueName: "command"))
  var reduce: String?
  @Option(
    help: ArgumentHelp(
      "default, keyspace:NAME or stream:NAME.", valueName: "input"))
  var input = JobInputName.keyspace(nil)
  @OptionGroup var range: RangeOptions
  @Option(
    help: ArgumentHelp("A new directory, keyspace:NAME, stream:NAME, or -.", valueName: "output"))
  var output = JobDestination.standardOutput
  @Flag(help: "The results may replace a keyspace or stream of that name.") var replace = false
  @Flag(help: "The mapper gets no keys.") var valuesOnly = false
  @Flag(help: "Programs read and print frames, not lines.") var binary = false
  @Option(help: ArgumentHelp("Reduce tasks, 1 to 1024.", valueName: "count")) var reducers = 2
  @Option(help: ArgumentHelp("Bytes of input of a map task.", valueName: "bytes"))
  var split = ByteSize(byteCount: 32 << 20)
  @Option(
    help: ArgumentHelp("A variable of the programs' environment.", valueName: "name=value"))
  var cmdenv: [String] = []
  @Flag(help: "Shut programs in: no network, nothing to write but a /tmp of their own.")
  var sandbox = false
  @Flag(help: "Forget what was done of the same job before.") var fresh = false
  @OptionGroup var limits: JobLimitOptions
  @OptionGroup var spelling: SpellingOptions
  @OptionGroup var global: GlobalOptions

  mutating func validate() throws {
    if map == nil, combine == nil, reduce == nil {
      throw ValidationError("say what to run: --map, --reduce or both")
    }
    guard (1...1024).contains(reducers) else {
      throw ValidationError("--reducers takes 1 to 1024, not \(reducers)")
    }
    guard split.byteCount > 0 else { throw ValidationError("--split takes a byte or more") }
    if case .stream = input, range.isGiven {
      throw ValidationError("--from, --to and --prefix are for keyspaces")
    }
    for variable in cmdenv
    where variable.firstIndex(of: "=") ?? variable.startIndex
      == variable.startIndex
    {
      throw ValidationError("--cmdenv takes NAME=VALUE, not \(variable)")
    }
    switch output {
    case .keyspace, .stream: break
    case .directory, .standardOutput:
      if replace { throw ValidationError("--replace is for a keyspace or a stream") }
    }
  }

  func run() throws {
    try JobRun(
      definition: try definition(), directory: directory, limits: limits, isFresh: fresh,
      global: global
    ).run()
  }

  private func definition() throws -> JobDefinition {
    var definition = JobDefinition(destination: output)
    switch input {
    case .keyspace(let name): definition.keyspace = name
    case .stream(let name): definition.stream = name
    }
    let bounds = try range.bounds(spelling)
    guard !bounds.isEmpty else { throw CommandFailure.usage("there is no key in that range") }
    definition.from = bounds.from
    definition.to = bounds.to
    definition.map = map
    definition.combine = combine
    definition.reduce = reduce
    definition.replaces = replace
    definition.reducerCount = reducers
    definition.form = binary ? .frames : .lines
    definition.takesValuesOnly = valuesOnly
    definition.splitByteCount = split.byteCount
    definition.isSandboxed = sandbox
    definition.directory = Descriptor.workingDirectory
    if case .directory(let path) = output, !path.hasPrefix("/"),
      let directory = definition.directory
    {
      definition.destination = .directory("\(directory)/\(path)")
    }
    for variable in cmdenv {
      let parts = variable.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      definition.environment[String(parts[0])] = String(parts[1])
    }
    return definition
  }
}
