// CorruptionSweepTests — every byte of every file changed, every length cut, files lost and swapped.

import Dispatch
import Synchronization
import Testing
import TurbiditeSimulation
import TurbiditeSystem

@testable import Turbidite
@testable import TurbiditeEngine

/// A damaged store gives what was written or an error that names a file, and a repair of it saves
/// what is intact.
///
/// Method: two small stores, one closed in order and one killed twice, hold every kind of file. Each
/// mutant is opened for writing and for reading only, read in both directions and by key, verified,
/// and repaired; the repaired store is opened, read and verified as well. What may come out follows
/// from which blocks and frames still are what they were. An error names the file that was changed,
/// and a place no further than the change; `isNamed` lists what else it may name. A mutant has two
/// seconds: the clock judges nothing but hangs. `TURBIDITE_SWEEP_SHARE` runs one mutant in so many;
/// with `TURBIDITE_SECONDS` the next share follows until so long has passed or all had their turn.
@Suite("Corruption sweep", .timeLimit(.minutes(30)))
struct CorruptionSweepTests {
  /// What was done to a store's files.
  private struct Mutant {
    var name: String
    var files: [String: [UInt8]]
    /// The bytes that were changed, by file; of a file that is gone or was cut, those that are missing.
    var changes: [String: Range<Int>]
    var isMoved = false
  }

  private struct Figures {
    var mutants = 0
    var refused = 0
    var harmless = 0
    var repairs = 0
    var completeRepairs = 0
    var savedRecords = 0
    var withheld: UInt64 = 0
    var slowestMilliseconds = 0
    var violations: [String] = []
  }

  /// A hundred times what a mutant takes in a debug build.
  private static let longestMilliseconds = 2000

  @Test("any damage gives right data or an error, and a repair saves all that is intact")
  func sweep() throws {
    let share = environmentCount("TURBIDITE_SWEEP_SHARE", default: 160)
    let seed = environmentCount("TURBIDITE_SEED", default: 1)
    let seconds = environmentCount("TURBIDITE_SECONDS", default: 0)
    let (start, clock) = (ContinuousClock.now, ContinuousClock())
    let figures = Synchronization.Mutex(Figures())
    let specimens = try [true, false].map { try Specimen(isClosed: $0) }
    let recipes = specimens.map(Self.mutants)
    var passes = 0
    repeat {
      for (specimen, recipes) in zip(specimens, recipes) {
        Self.sweep(specimen, recipes, share: share, pass: passes, seed: seed, figures)
      }
      passes += 1
    } while passes < share && clock.now - start < .seconds(seconds)
      && figures.withLock({ $0.violations.isEmpty })
    let total = figures.withLock { $0 }
    print(
      "corruption: \(total.mutants) of \(recipes.map(\.count).reduce(0, +)) mutants"
        + " (\(passes) of \(share) shares), \(total.refused) refused, \(total.harmless) read right,"
        + " the slowest in \(total.slowestMilliseconds) ms; violations: \(total.violations.count)")
    print(
      "repair recall: \(total.repairs) repairs, \(total.completeRepairs) of them without a loss,"
        + " \(total.savedRecords) records saved, \(total.withheld) versions withheld;"
        + " violations: \(total.violations.count)")
    for violation in total.violations.prefix(8) { Issue.record("\(violation)") }
  }

  /// Tries one share of a store's mutants; those that are no part of any share, in the first pass.
  private static func sweep(
    _ specimen: Specimen, _ recipes: [Recipe], share: Int, pass: Int, seed: Int,
    _ figures: borrowing Synchronization.Mutex<Figures>
  ) {
    let workers = 4
    DispatchQueue.concurrentPerform(iterations: workers) { worker in
      for index in stride(from: worker, to: recipes.count, by: workers)
      where recipes[index].isOfMany ? (index + seed + pass) % share == 0 : pass == 0 {
        if figures.withLock({ $0.violations.count > 8 }) { return }
        let mutant = recipes[index].make()
        let name = "\(specimen.isClosed ? "closed" : "killed") store, \(mutant.name)"
        let (start, clock) = (ContinuousClock.now, ContinuousClock())
        var found = judge(mutant, specimen, name)
        let milliseconds = Int((clock.now - start) / .milliseconds(1))
        found.slowestMilliseconds = milliseconds
        if milliseconds > longestMilliseconds {
          found.violations.append("\(name): it took \(milliseconds) ms")
        }
        figures.withLock { add(found, to: &$0) }
      }
    }
  }

  private static func add(_ found: Figures, to total: inout Figures) {
    total.mutants += found.mutants
    total.refused += found.refused
    total.harmless += found.harmless
    total.repairs += found.repairs
    total.completeRepairs += found.completeRepairs
    total.savedRecords += found.savedRecords
    total.withheld += found.withheld
    total.slowestMilliseconds = max(total.slowestMilliseconds, found.slowestMilliseconds)
    total.violations += found.violations
  }

  // MARK: - The mutants

  /// A mutant that is made when its turn comes.
  private struct Recipe {
    /// One of the thousands of which a share is run.
    var isOfMany = true
    var make: @Sendable () -> Mutant
  }

  private static func mutants(of specimen: Specimen) -> [Recipe] {
    var recipes: [Recipe] = []
    let files = specimen.files
    for (path, bytes) in files.sorted(by: { $0.key < $1.key }) {
      // What is preallocated is alike: its first bytes stand for the rest.
      let written = (bytes.lastIndex { $0 != 0 } ?? 0) + 64
      for offset in bytes.indices where offset < written || offset % 997 == 0 {
        for mask: UInt8 in [0x01, 0x80, 0xff] {
          recipes.append(
            Recipe {
              var changed = files
              changed[path]?[offset] ^= mask
              return Mutant(
                name: "\(path) at \(offset) ^ \(mask)", files: changed,
                changes: [path: offset..<offset + 1])
            })
        }
        recipes.append(
          Recipe {
            var changed = files
            let old = bytes[offset]
            changed[path]?[offset] = old == 0 ? 0x5a : 0
            return Mutant(
              name: "\(path) at \(offset) set", files: changed,
              changes: [path: offset..<offset + 1])
          })
        recipes.append(
          Recipe {
            var changed = files
            changed[path] = Array(bytes[..<offset])
            return Mutant(
              name: "\(path) cut to \(offset)", files: changed,
              changes: [path: offset..<bytes.count])
          })
      }
      recipes += sectorMutants(path, bytes, files)
      recipes.append(
        Recipe(isOfMany: false) {
          var changed = files
          changed[path] = nil
          return Mutant(
            name: "\(path) missing", files: changed, changes: [path: bytes.indices])
        })
      recipes.append(
        Recipe(isOfMany: false) {
          var changed = files
          changed[path] = bytes + [UInt8](repeating: 7, count: 100)
          return Mutant(
            name: "\(path) with bytes behind it", files: changed,
            changes: [path: bytes.count..<bytes.count + 100])
        })
    }
    return recipes + swaps(files) + withoutLog(files)
  }

  /// While the log has what a table lost, nothing has to be left out; here it has not.
  private static func withoutLog(_ files: [String: [UInt8]]) -> [Recipe] {
    var recipes: [Recipe] = []
    let segments = files.filter { $0.key.hasPrefix("log/") }
    for (path, bytes) in files.sorted(by: { $0.key < $1.key }) where path.hasPrefix("shards/") {
      for offset in stride(from: 0, to: bytes.count, by: 29) {
        recipes.append(
          Recipe(isOfMany: offset % 4 > 0) {
            var changed = files.filter { segments[$0.key] == nil }
            changed[path]?[offset] ^= 0x40
            var changes = segments.mapValues(\.indices)
            changes[path] = offset..<offset + 1
            return Mutant(
              name: "\(path) at \(offset) without the log", files: changed, changes: changes)
          })
      }
    }
    return recipes
  }

  private static func sectorMutants(
    _ path: String, _ bytes: [UInt8], _ files: [String: [UInt8]]
  ) -> [Recipe] {
    var recipes: [Recipe] = []
    let written = (bytes.lastIndex { $0 != 0 } ?? 0) + 64
    let sectors = stride(from: 0, to: bytes.count, by: 512).map {
      $0..<min($0 + 512, bytes.count)
    }
    for (index, sector) in sectors.enumerated() where sector.lowerBound < written {
      recipes.append(
        Recipe(isOfMany: false) {
          var changed = files
          changed[path]?.replaceSubrange(sector, with: repeatElement(0, count: sector.count))
          return Mutant(
            name: "\(path) \(sector) zeroed", files: changed, changes: [path: sector])
        })
      guard index + 1 < sectors.count, sectors[index + 1].count == 512 else { continue }
      let next = sectors[index + 1]
      recipes.append(
        Recipe(isOfMany: false) {
          var changed = files
          changed[path]?.replaceSubrange(next, with: bytes[sector])
          return Mutant(
            name: "\(path) \(sector) doubled", files: changed, changes: [path: next])
        })
      recipes.append(
        Recipe(isOfMany: false) {
          var changed = files
          changed[path]?.replaceSubrange(sector, with: bytes[next])
          changed[path]?.replaceSubrange(next, with: bytes[sector])
          return Mutant(
            name: "\(path) \(sector) swapped with the next", files: changed,
            changes: [path: sector.lowerBound..<next.upperBound])
        })
    }
    return recipes
  }

  private static func swaps(_ files: [String: [UInt8]]) -> [Recipe] {
    var recipes: [Recipe] = []
    let paths = files.keys.sorted()
    for (index, one) in paths.enumerated() {
      for other in paths[(index + 1)...] where one.prefix(3) == other.prefix(3) {
        recipes.append(
          Recipe(isOfMany: false) {
            var changed = files
            changed[one] = files[other]
            changed[other] = files[one]
            return Mutant(
              name: "\(one) and \(other) swapped", files: changed,
              changes: [
                one: 0..<changed[one, default: []].count,
                other: 0..<changed[other, default: []].count,
              ],
              isMoved: !one.hasPrefix("MANIFEST"))
          })
      }
    }
    return recipes
  }

  // MARK: - The judgement

  private static func judge(
    _ mutant: Mutant, _ specimen: Specimen, _ name: String
  ) -> Figures {
    var figures = Figures()
    figures.mutants = 1
    do {
      let disk = specimen.disk.copy()
      for path in specimen.files.keys where mutant.files[path] == nil { try disk.remove(path) }
      for (path, bytes) in mutant.files where bytes != specimen.files[path] {
        try disk.setContents(path, bytes)
      }
      var isRight = true
      for mode in [Store.Mode.existing, .readOnly] {
        do throws(StoreError) {
          let found = try Specimen.contents(of: disk.copy(), mode: mode)
          if let objection = found.objection {
            figures.violations.append("\(name), \(mode): \(objection)")
          } else if found.values != specimen.truth {
            figures.violations.append("\(name), \(mode): wrong contents")
          }
          if mode == .existing { figures.harmless += 1 }
        } catch {
          isRight = false
          if mode == .existing { figures.refused += 1 }
          guard isNamed(error, mutant, specimen) else {
            figures.violations.append("\(name), \(mode): \(error)")
            continue
          }
        }
      }
      try verify(disk, isRight, mutant, specimen, name, &figures)
      try repair(disk, mutant, specimen, name, &figures)
    } catch {
      figures.violations.append("\(name): \(error)")
    }
    return figures
  }

  /// Whether an error is one that damage may lead to: it names what was changed.
  private static func isNamed(
    _ error: StoreError, _ mutant: Mutant, _ specimen: Specimen
  ) -> Bool {
    switch error {
    case .corrupt(let damage): isNamed(damage, mutant, specimen)
    default: false
    }
  }

  /// The file is one that was changed, and the offset lies between the beginning of what holds the
  /// change, where that is a block or a frame, and the end of the change.
  ///
  /// One exception, because segments of the log join: where one is gone, or is taken for one that was
  /// being made because its header is, its neighbour is named, before or behind the gap.
  private static func isNamed(
    _ damage: Damage, _ mutant: Mutant, _ specimen: Specimen
  ) -> Bool {
    if damage.file == "MANIFEST-*" {
      return !mutant.files.keys.contains { $0.hasPrefix("MANIFEST") }
    }
    guard let change = mutant.changes[damage.file] else {
      return damage.file.hasPrefix("log/")
        && mutant.changes.contains { path, range in
          path.hasPrefix("log/") && range.lowerBound < LogSegmentHeader.byteCount
        }
    }
    let structure = specimen.units.first {
      $0.file == damage.file && $0.range.contains(change.lowerBound)
        && $0.range.upperBound >= change.upperBound
    }
    return damage.offset <= UInt64(change.upperBound)
      && damage.offset >= UInt64(structure?.range.lowerBound ?? 0)
  }

  /// A store that is refused does not verify clean.
  private static func verify(
    _ disk: SimulatedDisk, _ isRight: Bool, _ mutant: Mutant, _ specimen: Specimen,
    _ name: String, _ figures: inout Figures
  ) throws {
    do throws(StoreError) {
      let result = try Turbidite.verify(disk, name: "simulated", deep: true) {
        _ throws(StoreError) in
      }
      if result.isClean && !isRight {
        figures.violations.append("\(name): it verifies clean and cannot be read")
      }
    } catch {
      if !isNamed(error, mutant, specimen) {
        figures.violations.append("\(name), verify: \(error)")
      }
    }
  }

  private static func repair(
    _ disk: SimulatedDisk, _ mutant: Mutant, _ specimen: Specimen, _ name: String,
    _ figures: inout Figures
  ) throws {
    let target = SimulatedDisk()
    let result = try Turbidite.repair(
      disk, name: "simulated", into: "new", of: target, random: SeededRandom(seed: 3)
    ) { (_, _) throws(StoreError) in }
    figures.repairs += 1
    figures.completeRepairs += result.isComplete ? 1 : 0
    figures.withheld += result.withheldEntryCount
    for (path, bytes) in mutant.files where disk.contents(path) != bytes {
      figures.violations.append("\(name): the repair changed \(path)")
    }
    let saved = try Specimen.contents(of: target, in: "new")
    figures.savedRecords += saved.values.count
    if let objection = saved.objection {
      figures.violations.append("\(name), repaired: \(objection)")
    }
    if UInt64(saved.values.count) != result.savedEntryCount {
      figures.violations.append(
        "\(name): \(result.savedEntryCount) records are said to be saved, not \(saved.values.count)"
      )
    }
    let oracle = RepairOracle(specimen: specimen, files: mutant.files)
    if let objection = oracle.objection(to: result, saved: saved.values, isMoved: mutant.isMoved) {
      figures.violations.append("\(name), repaired: \(objection)")
    }
    let verification = try Turbidite.verify(
      Subdirectory("new", of: target), name: "simulated", deep: true
    ) { _ throws(StoreError) in }
    if !verification.isClean {
      figures.violations.append("\(name): the repaired store is damaged")
    }
  }
}
