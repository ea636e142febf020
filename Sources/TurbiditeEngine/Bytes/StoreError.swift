// StoreError — the one error type of the library.
//
// Room:    Engine/Bytes.
// Source:  The classes and exit statuses are docs/design.md's table, after BSD's sysexits.h.

import TurbiditeSystem

/// A place in a file where bytes are not what was written there.
public struct Damage: Error, Sendable, Hashable, CustomStringConvertible {
  /// The file's path below the store's directory.
  public var file: String
  /// The offset in bytes of the damaged structure within the file.
  public var offset: UInt64
  /// What is wrong, in words.
  public var finding: String

  /// Damage at a place.
  public init(file: String, offset: UInt64, finding: String) {
    self.file = file
    self.offset = offset
    self.finding = finding
  }

  /// The finding with its place.
  public var description: String { "\(file) at offset \(offset): \(finding)" }
}

/// What can go wrong with a store that is used correctly.
///
/// Every case carries enough to write one line in a log that an operator can act on; ``retry``,
/// ``outcome`` and ``storeState`` answer what a program wants to know.
@nonexhaustive
public enum StoreError: Error, Sendable, Hashable {
  /// Something that was named does not exist: a keyspace, for example.
  case notFound(String)
  /// An argument is outside its range: an empty key, a value over the limit.
  case invalidArgument(String)
  /// There is no store at this path, or what is there is none.
  case noStore(path: String, reason: String)
  /// A store exists where a new one was to be created.
  case storeExists(path: String)
  /// The store was closed.
  case closed
  /// The store was opened by a process of which this one is a fork.
  ///
  /// Open it again here once the parent has closed it; best is to exec at once.
  case forked
  /// An earlier failure left the store without certainty: reads go on, writes are refused until it
  /// is opened again. The text says what failed.
  case poisoned(String)
  /// The store was opened read-only and cannot be written.
  case readOnly
  /// The disk or a quota is full. Nothing of this operation was applied.
  case outOfSpace(operation: String, path: String, code: Int32)
  /// Memory, file handles or the like ran out.
  case resourceExhausted(String)
  /// The operating system refused. `code` is `errno`; `path` is relative to the store.
  case io(operation: String, path: String, code: Int32)
  /// A sync failed: what was being written may or may not survive a power loss.
  case durabilityLost(operation: String, path: String, code: Int32)
  /// Another process, or another handle of this one, has the store open for writing.
  case locked(path: String)
  /// The system denies access.
  case permissionDenied(operation: String, path: String, code: Int32)
  /// Bytes on disk are not what was written there.
  case corrupt(Damage)
  /// The store was written in a format that this version does not know; nothing was touched.
  case unsupportedFormat(file: String, found: UInt32, supported: UInt32)
  /// An option contradicts the store: an unknown slot layout, a shard count it cannot have.
  case configuration(String)
  /// Events of a producer do not begin at the number that follows its last one.
  ///
  /// Nothing was written: go on from `expected`; what has smaller numbers was stored before.
  case outOfSequence(producer: String, number: UInt64, expected: UInt64)
  /// Code or a program of the caller's failed: it threw, crashed, ran out of time, or went over a
  /// limit. The text says which, at which record.
  case userCode(String)
  /// The task that waited was cancelled; nothing was written.
  case cancelled
}

/// Whether the same call may succeed later.
public enum RetryAdvice: String, Sendable, Hashable {
  /// No: the answer will be the same.
  case never
  /// Yes, without doing anything.
  case now
  /// Yes, once what ``StoreError`` names has been mended.
  case afterAction
}

/// Whether the write that failed took effect.
public enum CommitOutcome: String, Sendable, Hashable {
  /// It did not, and will not.
  case no
  /// It did.
  case yes
  /// It may have: after reopening it is there whole, or not at all.
  case unknown
}

/// What the store can still do after an error.
public enum StoreState: String, Sendable, Hashable {
  /// Everything.
  case usable
  /// Reads go on; writes are refused.
  case readOnly
  /// Nothing; or it never opened.
  case closed
}

extension StoreError {
  /// Says whether a retry may help.
  public var retry: RetryAdvice {
    switch self {
    case .outOfSpace, .resourceExhausted, .locked, .permissionDenied, .poisoned, .durabilityLost,
      .noStore, .storeExists, .outOfSequence:
      .afterAction
    case .io: .now
    case .notFound, .invalidArgument, .closed, .forked, .readOnly, .corrupt,
      .unsupportedFormat, .configuration, .userCode, .cancelled:
      .never
    }
  }

  /// Says whether the write of the failed call was committed.
  public var outcome: CommitOutcome {
    if case .durabilityLost = self { return .unknown }
    return .no
  }

  /// Says what the store can still do.
  public var storeState: StoreState {
    switch self {
    case .poisoned, .durabilityLost, .readOnly: .readOnly
    case .closed, .forked, .noStore, .storeExists, .locked, .unsupportedFormat,
      .configuration:
      .closed
    default: .usable
    }
  }

  /// The class of the error, as in the table of exit statuses.
  public var errorClass: String {
    switch self {
    case .notFound: "notFound"
    case .invalidArgument: "invalidArgument"
    case .noStore: "noInput"
    case .storeExists, .outOfSequence: "conflict"
    case .closed, .forked: "closed"
    case .poisoned: "poisoned"
    case .readOnly: "permission"
    case .outOfSpace, .resourceExhausted: "resourceExhausted"
    case .io: "io"
    case .durabilityLost: "durabilityLost"
    case .locked: "locked"
    case .permissionDenied: "permission"
    case .corrupt: "corruption"
    case .unsupportedFormat: "version"
    case .configuration: "config"
    case .userCode: "userCode"
    case .cancelled: "cancelled"
    }
  }

  /// The exit status of a command that ends with this error.
  public var exitStatus: Int32 {
    switch self {
    case .notFound: 1
    case .invalidArgument: 64
    case .noStore: 66
    case .closed, .forked, .poisoned: 69
    case .userCode: 70
    case .outOfSpace, .resourceExhausted: 73
    // Memory ended between the log and the memtable: no disk is to blame.
    case .durabilityLost(_, _, SystemError.noMemoryCode): 73
    case .io, .durabilityLost: 74
    case .locked, .storeExists, .outOfSequence: 75
    case .corrupt: 76
    case .permissionDenied, .readOnly: 77
    case .unsupportedFormat, .configuration: 78
    case .cancelled: 130
    }
  }
}
