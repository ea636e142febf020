import Glibc
import Testing
import TurbiditeSimulation
import TurbiditeSystem

/// Draws operations and applies each to a real and to a simulated disk.
private struct Agreement {
  let random: SeededRandom
  let systems: [any FileSystem]
  var files: [[any File]] = [[], []]

  static let paths = ["a", "b", "c", "d/a", "d/b", "d/e/a", "absent/a", "a/b", "d"]
  static let directories = ["", "d", "d/e", "f", "a", "absent"]
  static let forbidden = ["", "/a", "a//b", "../a", "d/../a", "./a", "a/", "a\0b"]

  mutating func step() -> [String] {
    let path = random.element(Self.paths)
    let directory = random.element(Self.directories)
    let forbidden = random.element(Self.forbidden)
    switch random.below(23) {
    case 0, 1, 2: return open()
    case 3:
      let path = random.element(["d", "d/e", "a", "absent/x"])
      return both { try $0.createDirectory(path) }
    case 4: return both { try $0.list(directory) }
    case 5:
      let from = random.element(["a", "b", "c", "d/a", "d/b", "absent/a", "x"])
      let to = random.element(Self.paths)
      return both { try $0.rename(from, to: to) }
    case 6: return both { try $0.remove(path) }
    case 7: return both { try $0.syncDirectory(directory) }
    case 8: return both { _ = try $0.open(forbidden, .readWrite) }
    case 9: return close()
    case 20:
      let from = random.element(Self.paths)
      let to = random.element(Self.paths)
      return both { try $0.link(from, to: to, in: $0) }
    case 21:
      let from = random.element(["d", "d/e", "f", "f/e", "a", "absent"])
      let to = random.element(["d", "d/e", "f", "d/e/g", "a", "absent/f"])
      return both { try $0.renameDirectory(from, to: to) }
    case 22:
      let path = random.element(["d", "d/e", "f", "f/e", "a", "absent/x"])
      return both { try $0.removeDirectory(path) }
    default: return onFile()
    }
  }

  /// Draws nothing inside `body`: it runs twice.
  private func both<R>(_ body: (any FileSystem) throws -> R) -> [String] {
    systems.map { system in outcome { try body(system) } }
  }

  private func outcome<R>(_ body: () throws -> R) -> String {
    do { return "\(try body())" } catch { return "error \((error as? SystemError)?.code ?? -1)" }
  }

  private mutating func open() -> [String] {
    let path = random.element(Self.paths)
    let mode = random.element([OpenMode.read, .create, .readWrite])
    var opened: [any File] = []
    let results = systems.map { system in
      outcome { opened.append(try system.open(path, mode)) }
    }
    if opened.count == 2 {
      files[0].append(opened[0])
      files[1].append(opened[1])
    }
    return results
  }

  private mutating func close() -> [String] {
    guard !files[0].isEmpty else { return [] }
    let index = random.below(files[0].count)
    files[0].remove(at: index)
    files[1].remove(at: index)
    return []
  }

  private func onFile() -> [String] {
    guard !files[0].isEmpty else { return [] }
    let index = random.below(files[0].count)
    let offset = UInt64(random.below(10_000))
    let count = random.below(5000)
    let data = random.bytes(random.isOne(in: 4) ? 0 : random.below(3000))
    let start = UInt64(random.below(8))
    let end = start + 1 + UInt64(random.below(4))
    let kind = random.element([LockKind.shared, .exclusive])
    let choice = random.below(11)
    return files.map { list in
      let file = list[index]
      return outcome { () throws -> String in
        switch choice {
        case 0, 1, 2: try file.write(data, at: offset)
        case 3, 4: return "\(try file.bytes(at: offset, count))"
        case 5: return "\(try file.size())"
        case 6: try file.preallocate(through: offset)
        case 7: try file.truncate(to: offset)
        case 8: try file.sync()
        case 9:
          guard kind == .shared && count % 3 == 0 else {
            return "\(try file.tryLock(kind, from: start, to: end))"
          }
          try file.unlock(from: start, to: end)
        default: return "\(try file.isLockedElsewhere(from: start, to: end))"
        }
        return "done"
      }
    }
  }
}

@Suite("The real and the simulated disk")
struct FileSystemAgreementTests {
  @Test("The same operations give the same results", arguments: 0..<12)
  func agree(seed: UInt64) throws {
    let directory = TemporaryDirectory()
    let real = try PosixFileSystem.openRoot(directory.path)
    let memory = SimulatedDisk()
    var agreement = Agreement(random: SeededRandom(seed: seed), systems: [real, memory])
    for step in 0..<600 {
      let results = agreement.step()
      guard results.count == 2, results[0] != results[1] else { continue }
      Issue.record(
        "seed \(seed), step \(step): \(results[0].prefix(90)) / \(results[1].prefix(90))")
      return
    }
    for path in ["a", "b", "c", "d/a", "d/b", "d/e/a"] {
      let expected = memory.contents(path)
      #expect((try? real.open(path, .read).allBytes()) == expected, "seed \(seed): \(path)")
    }
  }

  @Test("A link is the same file under a second name, also from one root into another")
  func links() throws {
    let directory = TemporaryDirectory()
    let other = TemporaryDirectory()
    let memory = SimulatedDisk()
    for name in ["one", "two"] { try memory.createDirectory(name) }
    let pairs: [(any FileSystem, any FileSystem)] = [
      (try PosixFileSystem.openRoot(directory.path), try PosixFileSystem.openRoot(other.path)),
      (Subdirectory("one", of: memory), Subdirectory("two", of: memory)),
    ]
    for (first, second) in pairs {
      let name = "\(type(of: first))"
      let file = try first.open("a", .create)
      try second.createDirectory("d")
      try first.link("a", to: "d/b", in: second)
      try file.write([1, 2, 3], at: 0)
      #expect(try second.open("d/b", .read).allBytes() == [1, 2, 3], "\(name)")
      try first.remove("a")
      #expect(try second.open("d/b", .read).allBytes() == [1, 2, 3], "\(name)")
      #expect(try first.list("") == [], "\(name)")
      #expect(code { try first.link("a", to: "c", in: second) } == ENOENT, "\(name)")
      #expect(code { try second.link("d", to: "c", in: first) } == EPERM, "\(name)")
    }
    #expect(code { try pairs[0].1.link("d/b", to: "c", in: memory) } == EXDEV)
    #expect(code { try memory.link("two/d/b", to: "c", in: pairs[0].0) } == EXDEV)
  }

  @Test("Positions that no file has are refused alike")
  func extremes() throws {
    let directory = TemporaryDirectory()
    let systems: [any FileSystem] = [
      try PosixFileSystem.openRoot(directory.path), SimulatedDisk(),
    ]
    for system in systems {
      let file = try system.open("a", .create)
      let name = "\(type(of: system))"
      #expect(code { _ = try file.bytes(at: .max, 1) } == EINVAL, "\(name)")
      #expect(code { try file.write([1], at: .max) } == EINVAL, "\(name)")
      #expect(code { try file.write([1], at: UInt64(Int64.max)) } == EFBIG, "\(name)")
      #expect(code { try file.truncate(to: .max) } == EINVAL, "\(name)")
      #expect(code { try file.preallocate(through: .max) } == EINVAL, "\(name)")
      #expect(try file.bytes(at: UInt64(Int64.max) - 10, 1) == [], "\(name)")
      #expect(try file.size() == 0)
      let long = String(repeating: "x", count: 256)
      #expect(code { _ = try system.open(long, .create) } == ENAMETOOLONG, "\(name)")
    }
  }
}
