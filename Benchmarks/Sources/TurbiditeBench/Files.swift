// Files — what the workloads ask of the file system: contents, space, directories, a cold cache.
//
// Room:    Benchmarks.
// Limits:  Linux.

import Glibc

/// The content of a small file, as in /proc; empty when there is none.
func contents(ofFile path: String) -> String {
  guard let file = fopen(path, "r") else { return "" }
  defer { fclose(file) }
  var bytes: [UInt8] = []
  var buffer = [UInt8](repeating: 0, count: 4096)
  while true {
    let count = fread(&buffer, 1, buffer.count, file)
    if count == 0 { return String(decoding: bytes, as: UTF8.self) }
    bytes += buffer[..<count]
  }
}

/// Calls `body` with each file below a directory and with what the system says of it.
///
/// A store may remove files and directories while we walk; those are passed over.
private func forEachFile(below directory: String, _ body: (String, stat) throws -> Void) throws {
  guard let listing = opendir(directory) else {
    if errno == ENOENT { return }
    throw Stop("cannot read \(directory): errno \(errno)")
  }
  defer { closedir(listing) }
  while let item = readdir(listing) {
    let name = withUnsafePointer(to: &item.pointee.d_name) {
      $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
    }
    if name == "." || name == ".." { continue }
    let path = directory + "/" + name
    var status = stat()
    guard lstat(path, &status) == 0 else { continue }
    if status.st_mode & S_IFMT == S_IFDIR {
      try forEachFile(below: path, body)
    } else {
      try body(path, status)
    }
  }
}

/// Bytes that the files below a directory take on disk: blocks, as `du` counts them.
func diskByteCount(of directory: String) throws -> Int {
  var total = 0
  try forEachFile(below: directory) { total += Int($1.st_blocks) * 512 }
  return total
}

/// Takes the contents of the files below a directory out of the system's cache.
///
/// They are synced first, because only pages that equal the disk can be dropped. Inodes and
/// directories stay cached: to drop those takes root, and costs everybody on the machine.
func dropCachedPages(below directory: String) throws {
  try forEachFile(below: directory) { path, _ in
    let file = open(path, O_RDONLY)
    guard file >= 0 else { throw Stop("cannot open \(path): errno \(errno)") }
    defer { close(file) }
    guard fsync(file) == 0 else { throw Stop("cannot sync \(path): errno \(errno)") }
    let code = posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED)
    guard code == 0 else { throw Stop("cannot drop \(path) from the cache: errno \(code)") }
  }
}

/// Calls `body` with a new directory, and removes the directory afterwards.
func withDirectory<Result>(_ body: (String) throws -> Result) throws -> Result {
  let parent = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
  var template = Array("\(parent)/turbidite-bench-XXXXXX".utf8CString)
  guard mkdtemp(&template) != nil else {
    throw Stop("cannot make a directory in \(parent): errno \(errno)")
  }
  let path = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
  defer {
    // `rm` says itself what it could not remove.
    do { _ = try run(["rm", "-rf", path]) } catch { complain("\(path) is left behind: \(error)") }
  }
  return try body(path)
}
