import Foundation
import Glibc
import Testing
import TurbiditeSystem

@Suite("The real disk")
struct PosixFileSystemTests {
  let directory = TemporaryDirectory()

  @Test("No symbolic link below the root is followed, by no operation")
  func symbolicLinks() throws {
    let outside = TemporaryDirectory()
    let root = directory.path
    let system = try PosixFileSystem.openRoot(root)
    try PosixFileSystem.openRoot(outside.path).open("f", .create).write([1], at: 0)
    #expect(symlink(outside.path, root + "/link") == 0)
    #expect(symlink(outside.path + "/f", root + "/file") == 0)
    _ = try system.open("mine", .create)

    #expect(code { _ = try system.open("file", .read) } == ELOOP)
    #expect(code { _ = try system.open("file", .readWrite) } == ELOOP)
    #expect(code { _ = try system.open("file", .create) } == EEXIST)
    let refusals: [Int32?] = [ELOOP, ENOTDIR]
    #expect(refusals.contains(code { _ = try system.open("link/f", .read) }))
    #expect(refusals.contains(code { _ = try system.open("link/g", .create) }))
    #expect(refusals.contains(code { _ = try system.list("link") }))
    #expect(refusals.contains(code { try system.remove("link/f") }))
    #expect(refusals.contains(code { try system.rename("mine", to: "link/f") }))
    #expect(refusals.contains(code { try system.rename("link/f", to: "mine") }))
    #expect(refusals.contains(code { try system.createDirectory("link/d") }))
    #expect(refusals.contains(code { try system.syncDirectory("link") }))
    #expect(try PosixFileSystem.openRoot(outside.path).list("") == ["f"])
    // The link itself has a name like any other.
    try system.remove("file")
    #expect(try system.list("") == ["link", "mine"])
  }

  /// The system's own `df` counts the same, in the unit that it is asked for.
  @Test("The room that a disk has is what may be written, in bytes")
  func room() throws {
    let system = try PosixFileSystem.createRoot(directory.path + "/store")
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/bin/df")
    process.arguments = ["--output=avail", "-B1", directory.path]
    let output = Pipe()
    process.standardOutput = output
    try process.run()
    let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    let told = try #require(text.split(whereSeparator: \.isWhitespace).last.flatMap { UInt64($0) })
    let found = try system.availableByteCount()
    // Others write meanwhile.
    #expect(found > told / 4 * 3 && found / 4 * 3 < told)
  }

  @Test("What is not a regular file is refused, without waiting for anyone")
  func specialFiles() throws {
    let system = try PosixFileSystem.openRoot(directory.path)
    #expect(mkfifo(directory.path + "/pipe", 0o600) == 0)
    #expect(code { _ = try system.open("pipe", .read) } == EINVAL)
    #expect(code { _ = try system.open("pipe", .readWrite) } == EINVAL)
    try system.createDirectory("d")
    #expect(code { _ = try system.open("d", .read) } == EISDIR)
  }

  @Test("Files are 0600 and directories 0700, whatever the umask")
  func permissions() async {
    await #expect(processExitsWith: .success) {
      let directory = TemporaryDirectory()
      for (index, mask) in [mode_t(0), 0o377, 0o022].enumerated() {
        umask(mask)
        let root = directory.path + "/store\(index)"
        let system = try PosixFileSystem.createRoot(root)
        _ = try system.open("created", .create)
        _ = try system.open("either", .readWrite)
        try system.createDirectory("d")
        precondition(mode(root) == 0o700)
        precondition(mode(root + "/created") == 0o600)
        precondition(mode(root + "/either") == 0o600)
        precondition(mode(root + "/d") == 0o700)
      }
    }
  }

  @Test("A write beyond the limit on file sizes fails with EFBIG; the process lives")
  func fileSizeLimit() async {
    await #expect(processExitsWith: .success) {
      let directory = TemporaryDirectory()
      let system = try PosixFileSystem.openRoot(directory.path)
      var limit = rlimit(rlim_cur: 1000, rlim_max: rlim_t.max)
      precondition(setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit) == 0)
      let file = try system.open("f", .create)
      precondition(code { try file.write([UInt8](repeating: 1, count: 300), at: 800) } == EFBIG)
      precondition(code { guard try file.size() == 1000 else { throw CancellationError() } } == nil)
      precondition(code { try file.preallocate(through: 2000) } == EFBIG)
      precondition(code { try file.truncate(to: 2000) } == EFBIG)
      precondition(code { guard try file.size() == 1000 else { throw CancellationError() } } == nil)
      var pending = sigset_t()
      sigpending(&pending)
      precondition(sigismember(&pending, SIGXFSZ) == 0)
    }
  }

  @Test("zeros written ahead leave a file as it was")
  func zeros() throws {
    let system = try PosixFileSystem.openRoot(directory.path)
    let file = try system.open("f", .create)
    let byteCount = 200 << 10
    try file.write([UInt8](repeating: 7, count: 100), at: 0)
    try file.preallocate(through: UInt64(byteCount))
    file.writeZeros(from: 100, to: UInt64(byteCount - 1))
    #expect(try file.size() == UInt64(byteCount))
    let expected = [UInt8](repeating: 7, count: 100) + [UInt8](repeating: 0, count: byteCount - 100)
    #expect(try file.allBytes() == expected)
    file.writeZeros(from: 200, to: 100)
    file.writeZeros(from: 0, to: .max)
    #expect(try file.allBytes() == expected)
  }

  @Test("Two opens of one file exclude each other, and a closed one does not")
  func locks() throws {
    let system = try PosixFileSystem.openRoot(directory.path)
    let first = try system.open("LOCK", .readWrite)
    var second: (any File)? = try system.open("LOCK", .readWrite)
    #expect(try second?.tryLock(.exclusive, from: 0, to: 1) == true)
    #expect(try first.tryLock(.exclusive, from: 0, to: 1) == false)
    #expect(try first.tryLock(.shared, from: 0, to: 1) == false)
    #expect(try first.tryLock(.exclusive, from: 1, to: 2) == true)
    #expect(try first.isLockedElsewhere(from: 0, to: 9))
    second = nil
    #expect(try first.tryLock(.exclusive, from: 0, to: 1) == true)
    #expect(try first.isLockedElsewhere(from: 0, to: 9) == false)
    let reader = try system.open("LOCK", .read)
    #expect(try reader.isLockedElsewhere(from: 0, to: 1))
    #expect(code { _ = try reader.tryLock(.exclusive, from: 5, to: 6) } == EBADF)
  }

  @Test("A root is created once, opened again, and never a file")
  func roots() throws {
    let path = directory.path + "/store"
    #expect(code { _ = try PosixFileSystem.openRoot(path) } == ENOENT)
    #expect(code { _ = try PosixFileSystem.createRoot(path + "/deep") } == ENOENT)
    let created = try PosixFileSystem.createRoot(path + "/")
    let again = try PosixFileSystem.createRoot(path)
    #expect(created.identity == again.identity)
    _ = try created.open("f", .create)
    #expect(code { _ = try PosixFileSystem.openRoot(path + "/f") } == ENOTDIR)
    #expect(code { _ = try PosixFileSystem.createRoot(path + "/f") } == ENOTDIR)
  }

  @Test("A root that was moved away, or replaced, is not at its path")
  func stillAtPath() throws {
    let path = directory.path + "/store"
    let system = try PosixFileSystem.createRoot(path)
    #expect(try system.stillAtPath())
    #expect(rename(path, path + "2") == 0)
    #expect(try system.stillAtPath() == false)
    #expect(mkdir(path, 0o700) == 0)
    #expect(try system.stillAtPath() == false)
    #expect(rmdir(path) == 0)
    #expect(rename(path + "2", path) == 0)
    #expect(try system.stillAtPath())
  }

  @Test("Every descriptor is closed in the end")
  func descriptors() throws {
    func count() throws -> Int {
      let names = try PosixFileSystem.openRoot("/proc/self").list("fd")
      return names.filter { path in
        var buffer = [UInt8](repeating: 0, count: 1000)
        let length = buffer.withUnsafeMutableBytes {
          readlink(
            "/proc/self/fd/\(path)", $0.baseAddress!.assumingMemoryBound(to: CChar.self), 999)
        }
        guard length > 0 else { return false }
        return String(decoding: buffer[..<length], as: UTF8.self).hasPrefix(directory.path)
      }.count
    }
    do {
      let system = try PosixFileSystem.createRoot(directory.path + "/store")
      try system.createDirectory("d")
      for path in ["d/a", "d/b", "c"] {
        try system.open(path, .readWrite).write([1, 2, 3], at: 0)
        try system.rename(path, to: "d/x")
        _ = try system.list("d")
        try system.syncDirectory("d")
        try system.syncDirectory("")
        #expect(code { try system.syncDirectory("d/x") } == ENOTDIR)
        _ = code { _ = try system.open("absent", .read) }
        _ = code { _ = try system.open("d", .read) }
        _ = code { _ = try system.list("d/x") }
      }
      try system.remove("d/x")
    }
    #expect(try count() == 0)
  }
}
