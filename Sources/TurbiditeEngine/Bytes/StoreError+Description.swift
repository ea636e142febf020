// StoreError+Description — an error in words: one sentence that names the file, offset or key.
//
// Room:    Engine/Bytes.

package import TurbiditeSystem

extension StoreError: CustomStringConvertible {
  /// One sentence for a person.
  public var description: String {
    switch self {
    case .notFound(let what): "\(what) was not found"
    case .invalidArgument(let what): what
    case .noStore(let path, let reason): "there is no store at \(path): \(reason)"
    case .storeExists(let path): "there is a store at \(path) already"
    case .closed: "the store is closed"
    case .forked: "the store was opened before this process was forked, and is its parent's"
    case .poisoned(let cause): "the store refuses writes until it is opened again: \(cause)"
    case .readOnly: "the store is open read-only"
    case .outOfSpace(let operation, let path, let code),
      .io(let operation, let path, let code),
      .permissionDenied(let operation, let path, let code):
      "\(operation) of \(named(path)) failed: \(systemMessage(code))"
    case .resourceExhausted(let what): "out of resources: \(what)"
    case .durabilityLost(let operation, let path, let code):
      "\(operation) of \(named(path)) failed\(code == 0 ? "" : " (\(systemMessage(code)))"):"
        + " what was being written may or may not survive a power loss"
    case .locked(let path): "the store at \(path) is open for writing elsewhere"
    case .corrupt(let damage): "damaged: \(damage)"
    case .unsupportedFormat(let file, let found, let supported):
      "\(file) has format \(found); this version reads up to format \(supported)"
    case .configuration(let what): what
    case .outOfSequence(let producer, let number, let expected):
      "event \(number) of producer \(producer) does not follow what it appended before: the next is"
        + " \(expected)"
    case .userCode(let what): what
    case .cancelled: "cancelled"
    }
  }
}

extension StoreError {
  /// The wide error for a system call that failed outside a sync.
  package init(_ error: SystemError) {
    switch error.cause {
    case .space:
      self = .outOfSpace(operation: error.operation, path: error.path, code: error.code)
    case .permission:
      self = .permissionDenied(operation: error.operation, path: error.path, code: error.code)
    case .handlesOrMemory:
      self = .resourceExhausted(
        "\(error.operation) of \(named(error.path)): \(systemMessage(error.code))")
    case .other:
      self = .io(operation: error.operation, path: error.path, code: error.code)
    }
  }

  /// The error of a commit that is in a segment of the log, and not in memory.
  init(unapplied segment: String, _ cause: StoreError) {
    let code = if case .resourceExhausted = cause { SystemError.noMemoryCode } else { Int32(0) }
    self = .durabilityLost(operation: "insertion into memory", path: segment, code: code)
  }

  /// The wide error for a sync that failed.
  init(sync error: SystemError) {
    self = .durabilityLost(operation: error.operation, path: error.path, code: error.code)
  }
}

/// A path below the store, in words.
private func named(_ path: String) -> String { path.isEmpty ? "the store's directory" : path }
