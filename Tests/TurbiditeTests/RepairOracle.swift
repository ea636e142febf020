// RepairOracle — what a repair of a damaged specimen may save, must save, and must say.

import TurbiditeSimulation
import TurbiditeSystem

@testable import Turbidite
@testable import TurbiditeEngine

/// Judges a repair by which bytes of the specimen are still what they were.
struct RepairOracle {
  let specimen: Specimen
  /// The files as they are after the damage.
  let files: [String: [UInt8]]

  private func isIntact(_ unit: Unit) -> Bool {
    guard let now = files[unit.file], now.count >= unit.range.upperBound,
      let before = specimen.files[unit.file]
    else { return false }
    return now[unit.range] == before[unit.range]
  }

  /// - Parameter isMoved: whole files stand under other names: nothing is lost.
  /// - Returns: what is wrong with the repair; nil if it is as it should be.
  func objection(
    to repair: Repair, saved: [PlacedKey: [UInt8]], isMoved: Bool = false
  ) -> String? {
    let intact = isMoved ? specimen.units : specimen.units.filter(isIntact)
    let lost = isMoved ? [] : specimen.units.filter { !isIntact($0) }
    let there = Set(intact.flatMap(\.versions))
    return objection(toMissing: saved, there, lost, withheld: repair.withheldEntryCount)
      ?? objection(toSaved: saved, there, lost)
      ?? objection(toReport: repair, saved, there, lost)
  }

  /// Every live record in an intact place is saved, unless a lost place of a table may have deleted
  /// it: then the report counts it.
  private func objection(
    toMissing saved: [PlacedKey: [UInt8]], _ there: Set<Version>, _ lost: [Unit], withheld: UInt64
  ) -> String? {
    let doubts = doubts(after: lost)
    if withheld > 0 && doubts.isEmpty {
      return "\(withheld) withheld, and no table lost a deletion"
    }
    var missing: [PlacedKey] = []
    for (key, value) in specimen.truth where saved[key] != value {
      guard let newest = newest(of: key, in: specimen.versions), there.contains(newest) else {
        continue
      }
      guard doubts.contains(where: { $0.mayHide(newest) }) else {
        return "\(String(decoding: key.key, as: UTF8.self)) is in an intact place and not saved,"
          + " though nothing that was lost can have deleted it"
      }
      missing.append(key)
    }
    guard missing.count > Int(withheld) else { return nil }
    return "\(missing.count) records in intact places are not saved, \(withheld) withheld:"
      + " \(missing.map { String(decoding: $0.key, as: UTF8.self) })"
  }

  /// Keys, both ends among them, that a table may have deleted where it lost something.
  private struct Doubt {
    var keyspace: UInt32
    var first: [UInt8]
    var last: [UInt8]
    var largestSequence: UInt64

    func mayHide(_ version: Version) -> Bool {
      version.start.keyspace == keyspace && version.sequence <= largestSequence
        && !version.start.key.precedes(first) && !last.precedes(version.start.key)
    }
  }

  /// What counts keep from being known: of each table that lost a deletion, the keys between the
  /// intact blocks around each lost one, or between its bounds where it lost ranges.
  private func doubts(after lost: [Unit]) -> [Doubt] {
    var doubts: [Doubt] = []
    for (file, lostUnits) in Dictionary(grouping: lost.filter { !$0.isLog }, by: \.file) {
      let units = specimen.units.filter { $0.file == file }
        .sorted { $0.range.lowerBound < $1.range.lowerBound }
      let versions = units.flatMap(\.versions)
      guard lostUnits.flatMap(\.versions).contains(where: { $0.value == nil }) else { continue }
      let bounds = Doubt(
        keyspace: versions[0].start.keyspace,
        first: versions.map(\.start.key).min { $0.precedes($1) } ?? [],
        last: versions.map { $0.end ?? $0.start.key }.max { $0.precedes($1) } ?? [],
        largestSequence: versions.map(\.sequence).max() ?? 0)
      let blocks = units.filter { $0.versions[0].end == nil }
      for unit in lostUnits {
        var doubt = bounds
        if unit.versions[0].end == nil {
          let before = blocks.last { $0.range.upperBound <= unit.range.lowerBound && isIntact($0) }
          let behind = blocks.first { $0.range.lowerBound >= unit.range.upperBound && isIntact($0) }
          doubt.first = before?.versions.last?.start.key ?? bounds.first
          doubt.last = behind?.versions.first?.start.key ?? bounds.last
        }
        doubts.append(doubt)
      }
    }
    return doubts
  }

  /// Nothing is invented, and nothing deleted comes back.
  private func objection(
    toSaved saved: [PlacedKey: [UInt8]], _ there: Set<Version>, _ lost: [Unit]
  ) -> String? {
    for (key, value) in saved {
      let name = String(decoding: key.key, as: UTF8.self)
      guard let version = there.first(where: { $0.start == key && $0.value == value }) else {
        return "\(name) has a value that is in no intact place"
      }
      for deletion in specimen.versions
      where deletion.value == nil && deletion.sequence > version.sequence && deletion.covers(key) {
        if there.contains(deletion) { return "\(name) was deleted and came back" }
        // A frame of the log that is lost says nothing of its keys: what it deleted is reported as
        // sequence numbers. Of a table it is known where deletions may have been.
        if lost.contains(where: { !$0.isLog && $0.versions.contains(deletion) }) {
          return "\(name) was deleted in a lost block and came back"
        }
      }
    }
    return nil
  }

  private func objection(
    toReport repair: Repair, _ saved: [PlacedKey: [UInt8]], _ there: Set<Version>, _ lost: [Unit]
  ) -> String? {
    let losses = lost.filter { $0.versions.contains { !there.contains($0) } }
    if lost.isEmpty, repair.manifestTrouble == nil, saved != specimen.truth {
      return "nothing is lost, and the contents differ"
    }
    if mustBeComplete(lost, there), repair.manifestTrouble == nil, !repair.isComplete {
      return "nothing is lost, and the repair says so: \(Self.text(repair))"
    }
    for unit in losses where unit.versions.contains(where: { isLastWord($0, there) }) {
      if repair.isComplete {
        return "\(unit.file) \(unit.range) is lost, and all is said to be saved"
      }
      let isNamed = repair.files.contains { file in
        // Without any segment the manifest tells that there was a log, and only where it began.
        let isLogThere = files.keys.contains { $0.hasPrefix("log/") }
        let ofLog = isLogThere ? file.path == FileNames.logDirectory : file.path.hasPrefix("log")
        if unit.isLog && ofLog { return true }
        guard file.path == unit.file else { return false }
        let end = min(unit.range.upperBound, fileEnd(unit))
        return file.losses.contains { loss in
          loss.offset <= UInt64(unit.range.lowerBound)
            && loss.byteCount.map { loss.offset + $0 >= UInt64(end) } ?? true
        }
      }
      if !isNamed && repair.manifestTrouble == nil {
        return "\(unit.file) \(unit.range) is lost, and not named: \(Self.text(repair))"
      }
    }
    return nil
  }

  /// Whether it can be known that nothing is lost.
  ///
  /// Of lost frames it is known when tables have their sequence numbers, which the frames before
  /// and behind them tell.
  private func mustBeComplete(_ lost: [Unit], _ there: Set<Version>) -> Bool {
    let hasHeaders = specimen.files.allSatisfy { path, bytes in
      !path.hasPrefix("log/") || bytes.prefix(96) == files[path]?.prefix(96)
    }
    guard hasHeaders else { return false }
    let inTables = Set(
      specimen.units.filter { !$0.isLog && isIntact($0) }.flatMap(\.versions).map(\.sequence))
    return lost.allSatisfy { unit in
      let ofFile = specimen.units.filter { $0.file == unit.file }
      return unit.isLog && ofFile.first?.range != unit.range && ofFile.last?.range != unit.range
        && unit.versions.allSatisfy { inTables.contains($0.sequence) }
    }
  }

  private static func text(_ repair: Repair) -> String {
    repair.files.filter { $0.fate != .whole || !$0.rebuilt.isEmpty }.map { file in
      "\(file.path) \(file.fate)"
        + file.losses.map { " lost \($0.offset)+\($0.byteCount ?? 0): \($0.finding)" }.joined()
        + file.rebuilt.map { " anew \($0.offset)+\($0.byteCount ?? 0): \($0.finding)" }.joined()
    }.joined(separator: "; ") + "; withheld \(repair.withheldEntryCount)"
  }

  private func fileEnd(_ unit: Unit) -> Int { files[unit.file]?.count ?? 0 }

  /// Whether nothing newer that is intact speaks of every key the version speaks of.
  private func isLastWord(_ version: Version, _ there: Set<Version>) -> Bool {
    guard !there.contains(version) else { return false }
    if version.end != nil { return false }
    return newest(of: version.start, in: specimen.versions) == version && version.value != nil
  }

  private func newest(of key: PlacedKey, in versions: Set<Version>) -> Version? {
    versions.filter { $0.covers(key) }.max { $0.sequence < $1.sequence }
  }
}
