// StoreFinding — one thing that a verification has to say.
//
// Room:    Engine/Verify.

/// Something about a file of a store that is not as it should be, or worth knowing.
package struct StoreFinding: Sendable, Hashable {
  /// How bad it is.
  package enum Severity: Sendable, Hashable {
    /// Something that was written is not there.
    case damage
    /// The store holds all it should; something beside it is untidy.
    case note
  }

  /// Keys of one keyspace between two bounds.
  package struct Keys: Sendable, Hashable {
    package var keyspace: String
    package var first: [UInt8]
    package var last: [UInt8]
  }

  package var severity: Severity
  package var file: String
  package var offset: UInt64
  /// How much is affected from `offset` on, when known.
  package var byteCount: UInt64?
  package var text: String
  /// Where the keys lie that may be affected, when known.
  package var keys: Keys?

  init(
    _ severity: Severity, _ file: String, at offset: UInt64 = 0, byteCount: UInt64? = nil,
    _ text: String, keys: Keys? = nil
  ) {
    self.severity = severity
    self.file = file
    self.offset = offset
    self.byteCount = byteCount
    self.text = text
    self.keys = keys
  }
}

/// How far a verification is, and in the end its result.
package struct StoreVerificationCount: Sendable, Hashable {
  /// Files of the store that were looked at.
  package var fileCount = 0
  package var tableCount = 0
  package var segmentCount = 0
  /// Entries of tables and of the log that were read, when all are.
  package var entryCount: UInt64 = 0
  /// The bytes of the files that were looked at, and of all that will be.
  package var byteCount: UInt64 = 0
  package var totalByteCount: UInt64 = 0
  package var damageCount = 0
  package var noteCount = 0
  package var damagedFileCount = 0
}

/// What a verification tells while it runs.
package enum StoreVerificationEvent {
  case finding(StoreFinding)
  case progress(StoreVerificationCount)
}
