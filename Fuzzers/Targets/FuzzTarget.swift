// FuzzTarget — what the fuzzers and the replay of their corpus run: one name, one entry.
//
// Room:    Fuzzers. Built twice: instrumented by Tools/fuzz, and as a part of the test FuzzerTests.
// Limits:  A broken rule traps: to libFuzzer, and to the replay, a trap is a crash.

@testable import TurbiditeCLI

/// A decoder under fuzz.
enum FuzzTarget: String, CaseIterable, Sendable {
  /// A segment of the commit log, alone.
  case log
  /// A store whose last log segment is the input.
  case recovery
  /// The entries of a frame's payload, which are also the bytes of a batch.
  case entries
  /// A manifest; see ``ManifestForm``.
  case manifest
  /// Edits of a manifest, one applied after the other.
  case edits
  /// A whole table: opened, scanned both ways, asked for keys, verified.
  case table
  /// A data block's payload.
  case block
  /// An index block's payload.
  case index
  /// A filter block's payload.
  case filter
  /// A tombstone block's payload.
  case tombstones
  /// A properties block's payload.
  case properties
  /// A block of LZ4.
  case lz4
  /// Any file of a store, as the inspection of lone files sees it.
  case inspect
  /// All files of a store, from a ``StoreArchive``.
  case store
  /// The same files, repaired into a new store.
  case repair
  /// Records as lines of TSV.
  case tsv
  /// Records as lines of NDJSON.
  case ndjson
  /// Records as a raw stream.
  case raw
  /// The spellings of keys on the command line, and ranges made of them.
  case escapes

  /// Decodes the input and checks what must hold of the result.
  func run(_ input: [UInt8]) {
    switch self {
    case .log: LogTargets.segment(input)
    case .recovery: LogTargets.recovery(input)
    case .entries: LogTargets.entries(input)
    case .manifest: ManifestTargets.file(input)
    case .edits: ManifestTargets.edits(input)
    case .table: TableTargets.table(input)
    case .block: TableTargets.block(input)
    case .index: TableTargets.index(input)
    case .filter: TableTargets.filter(input)
    case .tombstones: TableTargets.tombstones(input)
    case .properties: TableTargets.properties(input)
    case .lz4: TableTargets.lz4(input)
    case .inspect: StoreTargets.inspect(input)
    case .store: StoreTargets.store(input)
    case .repair: StoreTargets.repair(input)
    case .tsv: FormatTargets.lines(input, .tsv)
    case .ndjson: FormatTargets.lines(input, .ndjson)
    case .raw: FormatTargets.raw(input)
    case .escapes: FormatTargets.escapes(input)
    }
  }

  /// The input with its checksums, and the lengths that hide the rest from a reader, put right.
  ///
  /// Targets without checksums give it back as it is.
  func mended(_ input: [UInt8]) -> [UInt8] {
    switch self {
    case .log: Mending.log(input, as: nil)
    case .recovery: Mending.log(input, as: SampleStore.shared.lastSegment)
    case .table: Mending.table(input, as: nil)
    case .inspect: Mending.file(input)
    case .raw: Mending.rawStream(input)
    // Mended as they are expanded: the input leaves out what every manifest must have.
    case .manifest, .store: input
    default: input
    }
  }
}

/// Traps when a rule that every target must keep is broken.
func require(_ condition: Bool, _ rule: @autoclosure () -> String) {
  if !condition { preconditionFailure(rule()) }
}
