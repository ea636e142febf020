// StoreVerifier+Manifest — what the newest manifest says, as far as it can be read.
//
// Room:    Engine/Verify.
// Format:  FORMAT.md section 6.

import TurbiditeSystem

/// What the newest manifest gave.
struct FoundManifest {
  var path = ""
  var byteCount: UInt64 = 0
  var store: StoreID?
  /// The state after the last edit that could be read; nil when there is none.
  var state: ManifestState?
  /// Every edit could be read, so that what the state does not name is not part of the store.
  var isWhole = false

  func keyspaceName(_ id: UInt32) -> String { state?.keyspaces[id]?.name ?? "" }
}

extension StoreVerifier {
  /// Reads the newest manifest; beside a writer it may be replaced at any moment, so that what
  /// looks like damage is looked at again.
  mutating func readManifest(_ report: Report) throws(StoreError) -> FoundManifest {
    var found = FoundManifest()
    var findings: [StoreFinding] = []
    for _ in 0..<(isLive ? 8 : 1) {
      found = FoundManifest()
      findings = try lookAtManifest(&found)
      if findings.isEmpty { break }
    }
    for finding in findings { try tell(finding, report) }
    return found
  }

  private func lookAtManifest(
    _ found: inout FoundManifest
  ) throws(StoreError) -> [StoreFinding] {
    let newest: UInt64
    do throws(StoreError) { newest = try fileSystem.newestManifest(of: name) } catch {
      guard case .corrupt(let damage) = error else { throw error }
      found.path = damage.file
      return [StoreFinding(.damage, damage.file, damage.finding)]
    }
    found.path = FileNames.manifest(newest)
    var edits: [VersionEdit] = []
    do throws(StoreError) {
      let file = try fileSystem.openFile(found.path, .read)
      found.byteCount = try file.byteCount()
      let contents = try ManifestContents(file) { edits.append($0.edit) }
      guard contents.number == newest else {
        throw .corrupt(
          Damage(file: found.path, offset: 0, finding: "this is manifest \(contents.number)"))
      }
      if let slots = contents.state.slots, slots.hashFunction != 1 {
        throw .configuration("\(found.path) asks for hash function \(slots.hashFunction)")
      }
      found.store = contents.store
      found.state = contents.state
      found.isWhole = true
      return torn(contents, found)
    } catch {
      found.state = partialState(edits)
      switch error {
      case .corrupt(let damage):
        return [
          StoreFinding(
            .damage, found.path, at: damage.offset,
            byteCount: found.byteCount > damage.offset ? found.byteCount - damage.offset : nil,
            damage.finding)
        ]
      case .io: return [StoreFinding(.damage, found.path, "cannot be read: \(error)")]
      default: throw error
      }
    }
  }

  private func torn(_ contents: ManifestContents, _ found: FoundManifest) -> [StoreFinding] {
    guard contents.tornByteCount > 0, !isLive else { return [] }
    let count = UInt64(contents.tornByteCount)
    return [
      StoreFinding(
        .note, found.path, at: found.byteCount - count, byteCount: count,
        "an edit was being written; opening the store cuts it off")
    ]
  }

  /// What the edits before a bad one say: a guide to the rest, if it holds the layout.
  private func partialState(_ edits: [VersionEdit]) -> ManifestState? {
    var state = ManifestState()
    for edit in edits {
      do throws(DecodingFailure) { try state.apply(edit) } catch {
        // They were applied in this order before: a refusal now would say that none is a guide.
        return nil
      }
    }
    return state.slots == nil ? nil : state
  }
}
