// Engine+Read — point lookups, snapshots and scans.
//
// Room:    Engine/Shard.

import Synchronization
import TurbiditeSystem

/// How a lookup may go about it.
package enum ReadMode: Sendable {
  /// Answers from memory or not at all.
  case cachedOnly
  /// Reads from disk when it must, and blocks for as long.
  case blocking
}

/// What became of a lookup.
package enum ReadOutcome: Sendable {
  case found
  case absent
  /// In mode ``ReadMode/cachedOnly``: the disk has to be asked.
  case wouldBlock
}

extension Engine {
  /// Throws when the store is closed, the keyspace dropped, or another store's.
  @inline(__always)
  package func requireReadable(_ keyspace: KeyspaceState) throws(StoreError) {
    try requireOpen()
    if keyspace.isDropped || keyspace.engineNumber != environment.number {
      throw refusal(of: keyspace)
    }
  }

  private func refusal(of keyspace: KeyspaceState) -> StoreError {
    let what = keyspace.partitionCount == nil ? "keyspace" : "stream"
    if keyspace.isDropped { return .notFound("\(what) \(keyspace.name)") }
    return .invalidArgument(
      "\(what) \(keyspace.name) is of another store, or of this one as it was opened before")
  }

  /// Throws when a batch has changes to keyspaces of another store; 0 stands for none.
  package func requireOwn(_ engineNumber: UInt64) throws(StoreError) {
    guard engineNumber == 0 || engineNumber == environment.number else {
      throw .invalidArgument(
        "a keyspace or stream in the batch is of another store, or of this one as it was opened"
          + " before")
    }
  }

  /// Calls `body` with the value of `key`, without copying it, when there is one.
  ///
  /// Not generic over what `body` makes of it: across modules that would cost a look-up of metadata
  /// each time.
  ///
  /// - Parameter sequence: a pinned sequence number, or nil for the present.
  package func read(
    _ key: RawSpan, in keyspace: KeyspaceState, at sequence: UInt64?, mode: ReadMode,
    _ body: (RawSpan) -> Void
  ) throws(StoreError) -> ReadOutcome {
    try requireReadable(keyspace)
    return try key.withView { key throws(StoreError) -> ReadOutcome in
      let hash = key.hash()
      var pin = BlockPin()
      let access: BlockAccess = mode == .cachedOnly ? .cachedOnly : .point
      while true {
        let edition = routing.edition
        // First the version, then the present: every commit up to it is in this version.
        let version = keyspace.tree(shard(of: key, hash: hash, in: keyspace)).version
        let found = try version.find(
          key, hash: hash, at: sequence ?? visibleSequence, access: access, pinning: &pin)
        guard routing.edition == edition else { continue }
        switch found {
        case .value(let view):
          body(view.span)
          // The value lies in a memtable of the version or in the pinned block.
          withExtendedLifetime((version, pin)) {}
          return .found
        case .absent: return .absent
        case .wouldBlock: return .wouldBlock
        }
      }
    }
  }

  /// Pins the present: what is visible now stays readable until it is unpinned.
  package func pinSnapshot() -> UInt64 {
    pins.pin { visibleSequence + (planted(.snapshotTooNew) ? 1 : 0) }
  }

  package func unpinSnapshot(_ sequence: UInt64) { pins.unpin(sequence) }

  /// The trees that hold keys of a range: one, where the range lies within a partition part.
  ///
  /// While slots move, those to which keys of the range do as well.
  func trees(
    of keyspace: KeyspaceState, from: [UInt8]?, to: [UInt8]?
  ) -> [Tree] {
    routing.read { routing in
      guard routing.treeCount > 1, let part = keyspace.partitioning.sharedPart(from: from, to: to)
      else { return keyspace.trees }
      let hash = part.withView { $0.hash() }
      let tree = keyspace.tree(Int(routing.slots[Int(hash >> 52)]))
      guard let target = routing.move?.target(ofHash: hash) else { return [tree] }
      return [tree, keyspace.tree(target)]
    }
  }

  /// What `body` makes of where keys are, while that stays so.
  func routed<Result>(_ body: (Routing) -> Result) -> Result {
    while true {
      let routing = routing.value
      let result = body(routing)
      if self.routing.value === routing { return result }
    }
  }

  /// What trees hold now that may hold keys of a range, and which of it is theirs.
  func views(of keyspace: KeyspaceState, from: [UInt8]?, to: [UInt8]?) -> [TreeView] {
    routed { routing in
      var views: [TreeView] = []
      let trees = trees(of: keyspace, from: from, to: to)
      views.reserveCapacity(trees.count)
      for tree in trees where routing.isSeen(tree) {
        views.append(TreeView(version: tree.version, ownership: routing.ownership(of: tree)))
      }
      return views
    }
  }

  /// What the shard of a key holds now.
  ///
  /// With keys that are not the shard's, if it is unsettled.
  func version(for key: ByteView, in keyspace: KeyspaceState) -> TreeVersion {
    routed { _ in keyspace.tree(shard(of: key, in: keyspace)).version }
  }

  /// A scan of one keyspace at a pinned sequence number.
  ///
  /// - Parameter pin: keeps it pinned while it lives; the scan holds on to it.
  package func scan(
    _ keyspace: KeyspaceState, at sequence: UInt64, pinnedBy pin: AnyObject, from: [UInt8]?,
    to: [UInt8]?, reverse: Bool
  ) throws(StoreError) -> EngineScan {
    try requireReadable(keyspace)
    return try EngineScan(
      engine: self, keyspace: keyspace, sequence: sequence, pin: pin, from: from, to: to,
      reverse: reverse)
  }
}

/// A scan over `[from, to)`, forward or backward.
///
/// One thread at a time.
package final class EngineScan {
  /// Where the cursor stands.
  private enum Place {
    /// Nowhere yet.
    case start
    /// At the entry that was shown last.
    case shown
    /// At the next one.
    case ahead
  }

  private let engine: Engine
  private let keyspace: KeyspaceState
  private let sequence: UInt64
  /// Keeps the sequence number pinned.
  private let pin: AnyObject
  private let cursor: ScanCursor
  private let holdsMemtables: Bool
  /// The engine's, from before the cursor was made.
  private var flushCount: UInt64
  private let from: [UInt8]?
  private let to: [UInt8]?
  private let reverse: Bool
  private var place = Place.start
  private var hasEnded = false
  /// Why the scan cannot go on: where the cursor stands then is not known.
  private var failure: StoreError?

  /// - Throws: `notFound` when the keyspace is dropped.
  init(
    engine: Engine, keyspace: KeyspaceState, sequence: UInt64, pin: AnyObject, from: [UInt8]?,
    to: [UInt8]?, reverse: Bool
  ) throws(StoreError) {
    self.engine = engine
    self.keyspace = keyspace
    self.sequence = sequence
    self.pin = pin
    self.from = from
    self.to = to
    self.reverse = reverse
    flushCount = engine.flushCount.load(ordering: .relaxed)
    let views = engine.views(of: keyspace, from: from, to: to)
    // A keyspace that is dropped is marked before it is emptied.
    if keyspace.isDropped { throw .notFound("keyspace \(keyspace.name)") }
    cursor = try ScanCursor(views, at: sequence, access: .scan, from: from, to: to)
    holdsMemtables = cursor.holdsMemtables
  }

  // MARK: - Across flushes

  /// Whether memtables were flushed that this scan may hold: ``renewed()`` lets go of them.
  package var isStale: Bool {
    holdsMemtables && engine.flushCount.load(ordering: .relaxed) != flushCount
  }

  /// The rest of this scan, over what the trees hold now: so a scan that moves on does not keep
  /// writers from the room that a flush has made.
  ///
  /// What is seen stays the same, as it does for two scans of one snapshot. Another object, because
  /// a cursor that can change would be counted at each entry.
  package func renewed() throws(StoreError) -> EngineScan {
    let count = engine.flushCount.load(ordering: .relaxed)
    // A scan goes on in a keyspace that was dropped; but there is nothing new to be had.
    guard place != .ahead, !hasEnded, failure == nil, !keyspace.isDropped else {
      flushCount = count
      return self
    }
    let fresh: EngineScan
    do throws(StoreError) {
      fresh = try EngineScan(
        engine: engine, keyspace: keyspace, sequence: sequence, pin: pin, from: from, to: to,
        reverse: reverse)
    } catch {
      guard case .notFound = error else { throw error }
      flushCount = count
      return self
    }
    if place == .shown { try fresh.follow(cursor.key) }
    return fresh
  }

  /// Goes to where a scan goes on that has shown `key`.
  private func follow(_ key: ByteView) throws(StoreError) {
    place = .ahead
    if reverse { return try cursor.seekBefore(key) }
    try cursor.seek(key)
    if cursor.isValid && cursor.key.isEqual(to: key) { place = .shown }
  }

  // MARK: - Entries

  /// Moves to the next entry.
  ///
  /// - Returns: whether there is one.
  /// - Throws: after a failure to move the same again.
  package func advance() throws(StoreError) -> Bool {
    if hasEnded { return false }
    if let failure { throw failure }
    try engine.requireOpen()
    do throws(StoreError) { try move() } catch {
      failure = error
      throw error
    }
    if cursor.passedCount >= Engine.crowdedEntryCount { engine.thinOut(keyspace) }
    guard cursor.isValid, isWithinBounds else {
      hasEnded = true
      return false
    }
    return true
  }

  /// Calls `body` with the current entry; the spans are valid during the call.
  package func withEntry<Result>(_ body: (RawSpan, RawSpan) -> Result) -> Result {
    precondition(cursor.isValid)
    // The spans borrow local copies of the views: borrowing the cursor's own crashes the optimiser
    // of Swift 6.3.1 ("CopyPropagation").
    let (key, value) = (cursor.key, cursor.value)
    return body(key.span, value.span)
  }

  /// The current entry as an event of a stream.
  package func event(
    of stream: KeyspaceState
  ) throws(StoreError) -> (partition: UInt32, offset: UInt64, content: EventContent) {
    precondition(cursor.isValid)
    let finding: String
    do throws(DecodingFailure) {
      if let (partition, offset) = StreamKey.read(cursor.key) {
        return (partition, offset, try EventContent(decoding: cursor.value))
      }
      finding = "a key of \(cursor.key.count) bytes is none of a stream's"
    } catch { finding = error.finding }
    throw .corrupt(
      Damage(file: "stream \(stream.name)", offset: 0, finding: finding))
  }

  /// Calls `body` with the key, which may be nil, and the value of the current entry as an event.
  package func withEvent<Result>(
    of stream: KeyspaceState,
    _ body: (_ key: RawSpan, _ value: RawSpan, _ hasKey: Bool) -> Result
  ) throws(StoreError) -> Result {
    precondition(cursor.isValid)
    do throws(DecodingFailure) {
      let (_, key, value) = try EventContent.parts(of: cursor.value)
      let keyView = key ?? .empty
      return body(keyView.span, value.span, key != nil)
    } catch {
      throw .corrupt(
        Damage(file: "stream \(stream.name)", offset: 0, finding: error.finding))
    }
  }

  private func move() throws(StoreError) {
    switch place {
    case .shown: if reverse { try cursor.previous() } else { try cursor.next() }
    case .ahead: place = .shown
    case .start:
      place = .shown
      try begin()
    }
  }

  private func begin() throws(StoreError) {
    switch (reverse, from, to) {
    case (false, let from?, _):
      try from.withView { key throws(StoreError) in try cursor.seek(key) }
    case (false, nil, _): try cursor.seekToFirst()
    case (true, _, let to?):
      try to.withView { key throws(StoreError) in try cursor.seekBefore(key) }
    case (true, _, nil): try cursor.seekToLast()
    }
  }

  private var isWithinBounds: Bool {
    if reverse {
      guard let from else { return true }
      return from.withView { cursor.key.compare($0) >= 0 }
    }
    guard let to else { return true }
    return to.withView { cursor.key.compare($0) < 0 }
  }
}
