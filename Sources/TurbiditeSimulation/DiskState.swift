// DiskState — the files, names and locks of the file system in memory, as one value.
//
// Room:    Simulation.
// Limits:  A directory that was removed is kept as a number: a crash may bring its name back.

import TurbiditeSystem

#if canImport(Glibc)
import Glibc
#endif

/// Everything that a file system in memory holds.
///
/// Copying it is cheap.
///
/// Invariant 1: a name in a directory leads to a number in `files` or in `directories`, never both.
/// Invariant 2: the current names are the durable ones with `pendingNames` applied in order.
struct DiskState: Sendable {
  /// The names in one directory: now, and as of the last sync.
  struct Directory {
    var current: [String: Int] = [:]
    var durable: [String: Int] = [:]
  }

  /// A name, and what it leads to from now on; nil when it goes.
  struct NameEffect {
    var directory: Int
    var name: String
    var node: Int?
  }

  /// The effects of one operation: a rename has two, which come together or not at all.
  struct NameChange {
    /// When it happened, among all changes of the disk.
    var order: Int
    var effects: [NameEffect]

    var names: [NameKey] { effects.map { NameKey(directory: $0.directory, name: $0.name) } }
  }

  struct NameKey: Hashable {
    var directory: Int
    var name: String
  }

  static let root = 0

  var files: [Int: FileContent] = [:]
  var directories: [Int: Directory] = [root: Directory()]
  var pendingNames: [NameChange] = []
  var locks: [Int: RangeLocks] = [:]
  /// The files and directories that are open: by the number of the opening.
  var openFiles: [Int: Int] = [:]
  var nextNumber = 1
  /// Bytes to which zeros were written ahead, so that later syncs have less to do.
  var zeroedByteCount = 0
  /// The moment of the next change.
  var nextOrder = 1
  /// Every change of names before this moment is durable on a disk that keeps a journal of them,
  /// because some sync carried the journal that far.
  var journalOrder = 1
  /// The most files that may be open at once.
  var openFileLimit: Int?
  /// The sum of sizes at which the disk is full.
  var spaceLimit: Int?

  // MARK: - Names

  /// What a path leads to.
  enum Node {
    case file(Int)
    case directory(Int)
    case absent
  }

  /// The directory in which the last component of `path` is, and that component.
  func parent(of path: RelativePath) throws(DiskRefusal) -> (directory: Int, name: String) {
    var directory = Self.root
    for component in path.components.dropLast() {
      guard let node = directories[directory]?.current[String(component)] else {
        throw DiskRefusal(ENOENT)
      }
      guard directories[node] != nil else { throw DiskRefusal(ENOTDIR) }
      directory = node
    }
    return (directory, path.name)
  }

  func node(_ path: RelativePath) throws(DiskRefusal) -> Node {
    if path.components.isEmpty { return .directory(Self.root) }
    let (directory, name) = try parent(of: path)
    guard let node = directories[directory]?.current[name] else { return .absent }
    return directories[node] == nil ? .file(node) : .directory(node)
  }

  func directory(_ path: RelativePath) throws(DiskRefusal) -> Int {
    switch try node(path) {
    case .directory(let number): return number
    case .file: throw DiskRefusal(ENOTDIR)
    case .absent: throw DiskRefusal(ENOENT)
    }
  }

  mutating func open(
    _ path: RelativePath, _ mode: OpenMode
  ) throws(DiskRefusal) -> (
    opening: Int, file: Int
  ) {
    if let openFileLimit, openFiles.count >= openFileLimit { throw DiskRefusal(EMFILE) }
    switch (try node(path), mode) {
    case (.file, .create), (.directory, .create): throw DiskRefusal(EEXIST)
    case (.directory, _): throw DiskRefusal(EISDIR)
    case (.absent, .read): throw DiskRefusal(ENOENT)
    case (.file(let file), _): return (opening(of: file), file)
    case (.absent, _):
      let (directory, name) = try parent(of: path)
      let file = makeNumber()
      files[file] = FileContent()
      change([NameEffect(directory: directory, name: name, node: file)])
      return (opening(of: file), file)
    }
  }

  /// The root is always open: it takes no opening.
  mutating func openDirectory(
    _ path: RelativePath
  ) throws(DiskRefusal) -> (opening: Int?, directory: Int) {
    if path.components.isEmpty { return (nil, Self.root) }
    if let openFileLimit, openFiles.count >= openFileLimit { throw DiskRefusal(EMFILE) }
    let number = try directory(path)
    return (opening(of: number), number)
  }

  mutating func createDirectory(_ path: RelativePath) throws(DiskRefusal) {
    guard case .absent = try node(path) else { throw DiskRefusal(EEXIST) }
    let (directory, name) = try parent(of: path)
    let number = makeNumber()
    directories[number] = Directory()
    change([NameEffect(directory: directory, name: name, node: number)])
  }

  mutating func rename(
    _ source: RelativePath, to target: RelativePath
  ) throws(DiskRefusal) {
    let from = try parent(of: source)
    let to = try parent(of: target)
    switch try node(source) {
    case .absent: throw DiskRefusal(ENOENT)
    case .directory: throw DiskRefusal(EISDIR)
    case .file(let file):
      switch try node(target) {
      case .directory:
        // A directory on the way to the source is refused before it is looked at.
        let isAbove = source.components.starts(with: target.components)
        throw DiskRefusal(isAbove ? ENOTEMPTY : EISDIR)
      case .file(file): return
      case .file, .absent:
        change([
          NameEffect(directory: from.directory, name: from.name, node: nil),
          NameEffect(directory: to.directory, name: to.name, node: file),
        ])
      }
    }
  }

  mutating func remove(_ path: RelativePath) throws(DiskRefusal) {
    switch try node(path) {
    case .absent: throw DiskRefusal(ENOENT)
    case .directory: throw DiskRefusal(EISDIR)
    case .file:
      let (directory, name) = try parent(of: path)
      change([NameEffect(directory: directory, name: name, node: nil)])
    }
  }

  /// Gives a file a second name.
  mutating func link(_ source: RelativePath, to target: RelativePath) throws(DiskRefusal) {
    _ = try parent(of: source)
    let to = try parent(of: target)
    let found = try node(source)
    if case .absent = found { throw DiskRefusal(ENOENT) }
    guard case .absent = try node(target) else { throw DiskRefusal(EEXIST) }
    guard case .file(let file) = found else { throw DiskRefusal(EPERM) }
    change([NameEffect(directory: to.directory, name: to.name, node: file)])
  }

  mutating func renameDirectory(
    _ source: RelativePath, to target: RelativePath
  ) throws(DiskRefusal) {
    let from = try parent(of: source)
    let to = try parent(of: target)
    switch try node(source) {
    case .absent: throw DiskRefusal(ENOENT)
    case .file: throw DiskRefusal(ENOTDIR)
    case .directory(let directory):
      guard case .absent = try node(target) else { throw DiskRefusal(EEXIST) }
      // A directory cannot be moved below itself.
      if target.components.starts(with: source.components) { throw DiskRefusal(EINVAL) }
      change([
        NameEffect(directory: from.directory, name: from.name, node: nil),
        NameEffect(directory: to.directory, name: to.name, node: directory),
      ])
    }
  }

  mutating func removeDirectory(_ path: RelativePath) throws(DiskRefusal) {
    let (parent, name) = try parent(of: path)
    switch try node(path) {
    case .absent: throw DiskRefusal(ENOENT)
    case .file: throw DiskRefusal(ENOTDIR)
    case .directory(let directory):
      guard directories[directory]?.current.isEmpty != false else {
        throw DiskRefusal(ENOTEMPTY)
      }
      change([NameEffect(directory: parent, name: name, node: nil)])
    }
  }

  /// Makes the names in `directory` durable, and with a rename its other end; with each change
  /// every earlier change of the same name, because names change in order.
  mutating func syncDirectory(_ directory: Int) {
    journalOrder = nextOrder
    var needed: Set<NameKey> = []
    var isNeeded = [Bool](repeating: false, count: pendingNames.count)
    for index in pendingNames.indices.reversed() {
      let names = pendingNames[index].names
      guard names.contains(where: { $0.directory == directory || needed.contains($0) }) else {
        continue
      }
      isNeeded[index] = true
      needed.formUnion(names)
    }
    var kept: [NameChange] = []
    for (change, isSynced) in zip(pendingNames, isNeeded) {
      if isSynced { settle(change) } else { kept.append(change) }
    }
    pendingNames = kept
    sweep()
  }

  /// Makes one change durable.
  mutating func settle(_ change: NameChange) {
    for effect in change.effects {
      directories[effect.directory, default: Directory()].durable[effect.name] = effect.node
    }
  }

  private mutating func change(_ effects: [NameEffect]) {
    for effect in effects {
      directories[effect.directory, default: Directory()].current[effect.name] = effect.node
    }
    pendingNames.append(NameChange(order: makeOrder(), effects: effects))
  }

  // MARK: - Open files

  /// A file was closed: its locks vanish.
  mutating func close(_ opening: Int) {
    guard let file = openFiles.removeValue(forKey: opening) else { return }
    locks[file]?.unlockAll(owner: opening)
  }

  /// Writes what there is room for; then throws if that was not all.
  mutating func write(
    _ bytes: [UInt8], to file: Int, at offset: Int
  ) throws(DiskRefusal) {
    let limit = sizeLimit(of: file)
    let fitting = min(bytes.count, max(0, limit - offset))
    files[file, default: FileContent()].write(bytes, fitting, at: offset, order: makeOrder())
    if fitting < bytes.count { throw DiskRefusal(ENOSPC) }
  }

  /// Writes zeros to what was allocated; where zeros are that changes nothing, also for a crash.
  mutating func writeZeros(_ file: Int, from start: Int, to end: Int) {
    zeroedByteCount += end - start
    var content = files[file, default: FileContent()]
    let there = content.current.read(start, end - start)
    precondition(there.count == end - start, "zeros are written to what was allocated")
    guard there.contains(where: { $0 != 0 }) else { return }
    let zeros = [UInt8](repeating: 0, count: there.count)
    content.write(zeros, zeros.count, at: start, order: makeOrder())
    files[file] = content
  }

  /// Makes the file longer, if there is room.
  mutating func preallocate(_ file: Int, through byteCount: Int) throws(DiskRefusal) {
    guard byteCount > self.byteCount(of: file) else { return }
    if byteCount > sizeLimit(of: file) { throw DiskRefusal(ENOSPC) }
    resize(file, to: byteCount)
  }

  mutating func resize(_ file: Int, to byteCount: Int) {
    files[file, default: FileContent()].resize(to: byteCount, order: makeOrder())
  }

  /// Makes a file's bytes durable.
  mutating func sync(_ file: Int) throws(DiskRefusal) {
    journalOrder = nextOrder
    guard files[file, default: FileContent()].sync() else { throw DiskRefusal(EIO) }
  }

  /// A sync goes wrong, and the caller hears of it or not.
  mutating func failSync(_ file: Int, _ failure: SyncFailure) throws(DiskRefusal) {
    guard !files[file, default: FileContent()].failSync(failure) else { throw DiskRefusal(EIO) }
  }

  func byteCount(of file: Int) -> Int { files[file]?.current.byteCount ?? 0 }

  /// The size up to which `file` may grow.
  private func sizeLimit(of file: Int) -> Int {
    guard let spaceLimit else { return .max }
    return byteCount(of: file) + max(0, spaceLimit - usedByteCount)
  }

  /// The sizes of all files that have a name or are open.
  var usedByteCount: Int {
    var live = Set(openFiles.values)
    for directory in directories.values { live.formUnion(directory.current.values) }
    return live.reduce(0) { $0 + byteCount(of: $1) }
  }

  // MARK: - Details

  private mutating func makeNumber() -> Int {
    defer { nextNumber += 1 }
    return nextNumber
  }

  private mutating func makeOrder() -> Int {
    defer { nextOrder += 1 }
    return nextOrder
  }

  private mutating func opening(of file: Int) -> Int {
    let opening = makeNumber()
    openFiles[opening] = file
    return opening
  }

  /// Forgets the files that neither a name nor an opening nor a crash can bring back.
  mutating func sweep() {
    var live = Set(openFiles.values)
    for directory in directories.values {
      live.formUnion(directory.current.values)
      live.formUnion(directory.durable.values)
    }
    for change in pendingNames {
      for effect in change.effects { if let node = effect.node { live.insert(node) } }
    }
    files = files.filter { live.contains($0.key) }
    locks = locks.filter { live.contains($0.key) }
  }
}

/// A refusal, before it is known which call it was.
struct DiskRefusal: Error {
  let code: Int32

  init(_ code: Int32) { self.code = code }
}
