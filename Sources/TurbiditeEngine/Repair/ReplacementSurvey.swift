// ReplacementSurvey — which tables count when no manifest says so, but the tables do.
//
// Room:    Engine/Repair.
// Format:  FORMAT.md section 3.7.

import TurbiditeSystem

/// What all tables say of others, and what follows.
///
/// 1. What a table calls gone is no part of the store: that was durable before the table was begun.
/// 2. A group all of whose tables are there and intact replaces what it is the merge of.
/// 3. A group of which that is not so replaces nothing while all of its inputs are intact: they
///    hold what it holds, and deletions besides. Its damaged tables are then no loss.
/// 4. If a file of such a group's inputs is missing, the store may have removed it, and with it
///    deletions that the group needed no more. What is left of the inputs is in doubt.
/// 5. A group with a table that is gone says nothing: either it never counted, or it did, and what
///    it replaced is gone for the one who says so.
struct ReplacementSurvey {
  struct Verdict {
    enum Reason {
      /// A table that is intact says so, or is a part of what does.
      case replaced
      /// The tables that it was merged from are intact.
      case restored
      /// What would tell is damaged.
      case doubtful
    }

    var reason: Reason
    /// The table, or the first of those, that decided it.
    var by: UInt64

    var note: String {
      switch reason {
      case .replaced: "table \(by) says that it is replaced"
      case .restored: "all that it held is in the tables that it was merged from"
      case .doubtful:
        "it was merged with tables that are gone into tables that are damaged: what those deleted"
          + " is not known"
      }
    }
  }

  private var statements: [UInt64: TableReplacement] = [:]
  /// Tables that are none of the store's, each with the table that says so.
  private(set) var gone: [UInt64: UInt64] = [:]

  /// Takes down what table `number` says.
  mutating func note(_ statement: TableReplacement?, of number: UInt64) {
    guard let statement else { return }
    statements[number] = statement
    for other in statement.gone where other < number { gone[other] = number }
  }

  /// What does not count, of the tables that are not gone.
  ///
  /// - Parameters:
  ///   - intact: tables of which nothing is lost.
  ///   - present: tables whose files are there, whatever is in them.
  func verdicts(intact: Set<UInt64>, present: Set<UInt64>) -> [UInt64: Verdict] {
    var verdicts: [UInt64: Verdict] = [:]
    let groups = Dictionary(grouping: statements.filter { !$0.value.inputs.isEmpty }) {
      $0.value.group
    }
    for (group, members) in groups.sorted(by: { $0.key < $1.key }) {
      let inputs = members[0].value.inputs.filter { $0 < group }
      guard !inputs.isEmpty, !members.contains(where: { gone[$0.key] != nil }) else { continue }
      let ordinals = members.map(\.value.ordinal).sorted()
      let isWhole =
        ordinals == Array(0..<UInt64(ordinals.count))
        && members.contains { $0.value.isLast && $0.value.ordinal == ordinals.last }
        && members.allSatisfy { intact.contains($0.key) }
      if isWhole {
        for input in inputs { verdicts[input] = Verdict(reason: .replaced, by: group) }
      } else if inputs.allSatisfy(intact.contains) {
        // Never where something else was among the inputs: no table has its number.
        for (member, _) in members where !intact.contains(member) {
          verdicts[member] = Verdict(reason: .restored, by: inputs[0])
        }
      } else if !inputs.allSatisfy(present.contains) {
        for input in inputs where verdicts[input] == nil {
          verdicts[input] = Verdict(reason: .doubtful, by: group)
        }
      }
    }
    return verdicts
  }
}

extension TableReplacement {
  /// What the table in `file` says of others; nil if nothing, or if that cannot be read.
  static func read(from file: any File) throws(StoreError) -> TableReplacement? {
    do throws(StoreError) {
      let header = try TableHeader.read(from: file).header
      guard header.optionalFeatures & TableFormat.replacementFeature != 0 else { return nil }
      let identity = header.identity
      let seed = ChecksumSeed(store: identity.store, fileNumber: identity.fileNumber)
      let (footer, _) = try TableFooter.read(
        from: file, fileByteCount: try file.byteCount(), seed: seed, expecting: nil)
      return try PartReader(file: file, seed: seed).properties(
        footer, optionalFeatures: header.optionalFeatures
      ).replacement
    } catch {
      guard error.loss(of: file.path) != nil else { throw error }
      return nil
    }
  }
}
