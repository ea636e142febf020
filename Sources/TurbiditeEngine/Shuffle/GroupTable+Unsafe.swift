// GroupTable+Unsafe — the groups that one worker has seen, by the hash of their keys.
//
// Room:    Engine/Shuffle.
// Source:  Open addressing with linear probing (Knuth, The Art of Computer Programming, volume 3,
//          section 6.4); sixteen bits of the hash beside each address decide nearly every probe.
//          Words wait a few turns until memory has come: group prefetching after Chen, Ailamaki,
//          Gibbons and Mowry, Improving Hash Join Performance through Prefetching, ICDE 2004.
// Limits:  One thread. Addresses of 48 bits.

import CXXHash

/// A table from keys to states.
///
/// An entry is the length of its key (4 bytes), the low half of the key's hash (4), the state's
/// words, the partition's number (2, high byte first) and the key: so the last two are a key by
/// which entries of all partitions are sorted.
///
/// Safe to hand from thread to thread: whoever has it is the only one, until it is sorted and
/// changes no more. Memory: all that is pointed to lies in the arena or the slots, both owned.
@safe
final class GroupTable: @unchecked Sendable {
  let fold: GroupFold
  private let partitionCount: UInt64
  private var arena: Arena
  private let pool: ChunkPool
  private var slots: OwnedBuffer
  private var slotPointer: UnsafeMutablePointer<UInt64>
  private var mask: Int
  /// The groups, without those of words that wait.
  private(set) var count = 0
  private let wordCount: Int
  private let keyOffset: Int
  /// Words on their way to their groups: a ring of places, each the hash (8 bytes), the word (8),
  /// the key's length (8) and the key, behind which are zeros up to a multiple of eight.
  private let ring: OwnedBuffer
  private var oldest = 0
  private var waitingCount = 0
  private let mayWait: Bool
  private let isSum: Bool

  private static let ringCount = 16
  private static let ringPlaceByteCount = 64
  private static let ringKeyOffset = 24
  /// The longest key that waits.
  private static let ringKeyByteCount = ringPlaceByteCount - ringKeyOffset

  static let partitionByteCount = 2
  private static let addressMask: UInt64 = 1 << 48 - 1
  private static let firstSlotCount = 1 << 10

  init(_ fold: GroupFold, partitionCount: Int, pool: ChunkPool) throws(StoreError) {
    precondition(partitionCount > 0)
    precondition(partitionCount <= 1 << 16)
    self.fold = fold
    self.partitionCount = UInt64(partitionCount)
    self.pool = pool
    arena = Arena(pool: pool)
    wordCount = fold.wordCount
    switch fold {
    case .blob, .values: mayWait = false
    default: mayWait = true
    }
    if case .sum = fold { isSum = true } else { isSum = false }
    ring = try OwnedBuffer.allocate(
      GroupTable.ringCount * GroupTable.ringPlaceByteCount, for: "groups")
    keyOffset = 8 + 8 * wordCount + GroupTable.partitionByteCount
    slots = try GroupTable.makeSlots(GroupTable.firstSlotCount)
    unsafe slotPointer = slots.start.assumingMemoryBound(to: UInt64.self)
    mask = GroupTable.firstSlotCount - 1
  }

  /// Takes over what another has filled.
  private init(taking other: GroupTable) throws(StoreError) {
    fold = other.fold
    partitionCount = other.partitionCount
    pool = other.pool
    arena = other.arena
    slots = other.slots
    unsafe slotPointer = other.slotPointer
    mask = other.mask
    count = other.count
    wordCount = other.wordCount
    keyOffset = other.keyOffset
    mayWait = other.mayWait
    isSum = other.isSum
    ring = try OwnedBuffer.allocate(1, for: "groups")
  }

  /// Hands over what was added, and begins anew.
  ///
  /// So a sink has one table, and need not count references to it for each value.
  func detach() throws(StoreError) -> GroupTable {
    try settle()
    let filled = try GroupTable(taking: self)
    arena = Arena(pool: pool)
    slots = try GroupTable.makeSlots(GroupTable.firstSlotCount)
    unsafe slotPointer = slots.start.assumingMemoryBound(to: UInt64.self)
    mask = GroupTable.firstSlotCount - 1
    count = 0
    return filled
  }

  private static func makeSlots(_ count: Int) throws(StoreError) -> OwnedBuffer {
    guard let slots = OwnedBuffer(lasting: 8 * count) else {
      throw .resourceExhausted("\(8 * count) bytes of memory for groups")
    }
    unsafe slots.start.initializeMemory(as: UInt8.self, repeating: 0, count: slots.count)
    return slots
  }

  /// The bytes that it takes, and that sorting it will.
  var memoryByteCount: Int { arena.reservedByteCount + slots.count + 16 * count }

  /// Whether nothing was added.
  var isEmpty: Bool { count == 0 && waitingCount == 0 }

  /// Adds a word to the group of `key`, now or a few words later.
  @inline(__always)
  func add(_ key: ByteView, word: UInt64) throws(StoreError) {
    guard mayWait, key.count <= GroupTable.ringKeyByteCount else {
      return try addAtOnce(key, word: word)
    }
    if waitingCount == GroupTable.ringCount { try settleOldest() }
    let hash = key.hash()
    let place = unsafe ringPlace(oldest &+ waitingCount)
    // Safe: a place has room for its fields and the longest key that waits.
    unsafe place.storeBytes(of: hash, as: UInt64.self)
    unsafe place.storeBytes(of: word, toByteOffset: 8, as: UInt64.self)
    unsafe place.storeBytes(of: key.count, toByteOffset: 16, as: Int.self)
    unsafe GroupTable.copyPadded(key, to: place + GroupTable.ringKeyOffset)
    waitingCount &+= 1
    unsafe turbidite_prefetch(slotPointer + (Int(truncatingIfNeeded: hash) & mask))
    guard waitingCount > GroupTable.ringCount / 2 else { return }
    // Half-way, the slot is here and says where the group is.
    let half = unsafe ringPlace(oldest &+ waitingCount &- GroupTable.ringCount / 2)
    let slot = unsafe slotPointer[
      Int(truncatingIfNeeded: half.load(as: UInt64.self)) & mask]
    if let entry = unsafe GroupTable.entry(slot) { unsafe turbidite_prefetch(entry) }
  }

  /// Has nothing wait any more.
  func settle() throws(StoreError) {
    while waitingCount > 0 { try settleOldest() }
  }

  @inline(__always)
  private func ringPlace(_ number: Int) -> UnsafeMutableRawPointer {
    unsafe ring.start
      + (number & (GroupTable.ringCount &- 1)) &* GroupTable.ringPlaceByteCount
  }

  /// Copies a key, with zeros up to a multiple of eight behind it, where there is room for them.
  @inline(__always)
  private static func copyPadded(_ key: ByteView, to target: UnsafeMutableRawPointer) {
    let rest = key.count & 7
    if rest != 0 {
      unsafe target.storeBytes(of: 0, toByteOffset: key.count &- rest, as: UInt64.self)
    }
    unsafe key.copy(to: target)
  }

  @inline(__always)
  private func settleOldest() throws(StoreError) {
    let place = unsafe ringPlace(oldest)
    let hash = unsafe place.load(as: UInt64.self)
    let word = unsafe place.load(fromByteOffset: 8, as: UInt64.self)
    let count = unsafe place.load(fromByteOffset: 16, as: Int.self)
    let key = unsafe place + GroupTable.ringKeyOffset
    oldest &+= 1
    waitingCount &-= 1
    let tag = hash >> 48
    var index = Int(truncatingIfNeeded: hash) & mask
    while true {
      let slot = unsafe slotPointer[index]
      if slot == 0 { break }
      if slot >> 48 == tag, let entry = unsafe GroupTable.entry(slot),
        unsafe Int(entry.load(as: UInt32.self)) == count,
        unsafe GroupTable.isEqualPadded(entry + keyOffset, key, count)
      {
        return apply(word, to: unsafe StateWords(entry + 8, count: wordCount), isNew: false)
      }
      index = (index &+ 1) & mask
    }
    let state = try insert(unsafe ByteView(key, count: count), hash)
    apply(word, to: state, isNew: true)
  }

  /// Whether two keys of a length are equal; behind both are zeros up to a multiple of eight.
  @inline(__always)
  private static func isEqualPadded(
    _ one: UnsafeMutableRawPointer, _ other: UnsafeMutableRawPointer, _ count: Int
  ) -> Bool {
    var offset = 0
    while offset < count {
      let difference =
        unsafe one.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
        ^ other.load(fromByteOffset: offset, as: UInt64.self)
      if difference != 0 { return false }
      offset &+= 8
    }
    return true
  }

  @inline(__always)
  private func apply(_ word: UInt64, to state: StateWords, isNew: Bool) {
    if isSum { return GroupFold.addSum(word, to: state) }
    fold.add(word, to: state, isNew: isNew)
  }

  private func addAtOnce(_ key: ByteView, word: UInt64) throws(StoreError) {
    // Of one key, words are added in their order.
    try settle()
    let (state, isNew) = try state(of: key)
    switch fold {
    case .blob(let fold):
      var blob = BlobState(state, arena: arena)
      try fold.add(word, to: &blob)
    case .values:
      var bytes = word.littleEndian
      let failure = unsafe withUnsafeBytes(of: &bytes) { bytes -> StoreError? in
        guard let base = bytes.baseAddress else { return nil }
        do throws(StoreError) {
          _ = try ValueChunks(words: state).append(
            unsafe ByteView(base, count: bytes.count), arena: arena)
          return nil
        } catch { return error }
      }
      if let failure { throw failure }
    default: fold.add(word, to: state, isNew: isNew)
    }
  }

  /// Adds a value of bytes to the group of `key`.
  func add(_ key: ByteView, value: ByteView) throws(StoreError) {
    try settle()
    let (state, isNew) = try state(of: key)
    switch fold {
    case .blob(let fold):
      var blob = BlobState(state, arena: arena)
      try fold.add(value.span, to: &blob)
    case .values: _ = try ValueChunks(words: state).append(value, arena: arena)
    case .count: fold.add(1, to: state, isNew: isNew)
    default: preconditionFailure("a value of bytes where words are folded")
    }
  }

  /// The state of `key`, made when there is none.
  @inline(__always)
  private func state(of key: ByteView) throws(StoreError) -> (StateWords, isNew: Bool) {
    let hash = key.hash()
    let tag = hash >> 48
    var index = Int(truncatingIfNeeded: hash) & mask
    while true {
      let slot = unsafe slotPointer[index]
      if slot == 0 { break }
      if slot >> 48 == tag, let entry = unsafe GroupTable.entry(slot),
        unsafe Int(entry.load(as: UInt32.self)) == key.count,
        unsafe ByteView(UnsafeRawPointer(entry + keyOffset), count: key.count).isEqual(to: key)
      {
        return (unsafe StateWords(entry + 8, count: wordCount), false)
      }
      index = (index &+ 1) & mask
    }
    return (try insert(key, hash), true)
  }

  @inline(__always)
  private static func entry(_ slot: UInt64) -> UnsafeMutableRawPointer? {
    unsafe UnsafeMutableRawPointer(bitPattern: UInt(slot & addressMask))
  }

  private func insert(_ key: ByteView, _ hash: UInt64) throws(StoreError) -> StateWords {
    if 8 * (count + 1) > 5 * (mask + 1) { try grow() }
    guard let entry = unsafe arena.allocate(keyOffset + (key.count + 7) & ~7) else {
      throw .resourceExhausted("memory for a group")
    }
    let address = UInt64(UInt(bitPattern: entry))
    precondition(address & ~GroupTable.addressMask == 0, "an address has 48 bits")
    unsafe entry.storeBytes(of: UInt32(key.count), as: UInt32.self)
    unsafe entry.storeBytes(
      of: UInt32(truncatingIfNeeded: hash), toByteOffset: 4, as: UInt32.self)
    let state = unsafe StateWords(entry + 8, count: wordCount)
    state.clear()
    let partition = UInt16(truncatingIfNeeded: ((hash >> 32) &* partitionCount) >> 32)
    unsafe entry.storeBytes(
      of: partition.bigEndian, toByteOffset: keyOffset - GroupTable.partitionByteCount,
      as: UInt16.self)
    unsafe GroupTable.copyPadded(key, to: entry + keyOffset)
    var index = Int(truncatingIfNeeded: hash) & mask
    while unsafe slotPointer[index] != 0 { index = (index &+ 1) & mask }
    unsafe slotPointer[index] = (hash >> 48) << 48 | address
    count += 1
    return state
  }

  private func grow() throws(StoreError) {
    let larger = try GroupTable.makeSlots(2 * (mask + 1))
    let target = unsafe larger.start.assumingMemoryBound(to: UInt64.self)
    let newMask = 2 * mask + 1
    for old in 0...mask {
      let slot = unsafe slotPointer[old]
      guard slot != 0, let entry = unsafe GroupTable.entry(slot) else { continue }
      var index = Int(unsafe entry.load(fromByteOffset: 4, as: UInt32.self)) & newMask
      while unsafe target[index] != 0 { index = (index &+ 1) & newMask }
      unsafe target[index] = slot
    }
    slots = larger
    unsafe slotPointer = target
    mask = newMask
  }

  /// The groups in the order of partition and key.
  ///
  /// - Parameter order: what the tags of the groups' states count down from; see ``PieceOrder``.
  func sorted(order: PieceOrder) -> GroupRun {
    precondition(waitingCount == 0, "what waits is in no group yet")
    var items: [GroupRun.Item] = []
    items.reserveCapacity(count)
    for index in 0...mask {
      let slot = unsafe slotPointer[index]
      guard slot != 0 else { continue }
      let address = slot & GroupTable.addressMask
      items.append(GroupRun.Item(prefix: key(at: address).prefix(at: 1), address: address))
    }
    // The first byte of a partition's number is left out of the prefix, and of most comparisons.
    let isNarrow = partitionCount <= 256
    items.sort { one, other in
      if isNarrow, one.prefix != other.prefix { return one.prefix < other.prefix }
      return key(at: one.address).compare(key(at: other.address)) < 0
    }
    return GroupRun(table: self, items: items, order: order)
  }

  /// Has the entry at an address on its way to the processor.
  func prefetch(_ address: UInt64) {
    if let entry = unsafe GroupTable.entry(address) { unsafe turbidite_prefetch(entry) }
  }

  /// Partition and key of the entry at an address.
  func key(at address: UInt64) -> ByteView {
    guard let entry = unsafe GroupTable.entry(address) else {
      preconditionFailure("an entry has an address")
    }
    let count = unsafe Int(entry.load(as: UInt32.self))
    let offset = keyOffset - GroupTable.partitionByteCount
    return unsafe ByteView(
      UnsafeRawPointer(entry + offset), count: count + GroupTable.partitionByteCount)
  }

  /// The state of the entry at an address.
  func state(at address: UInt64) -> StateWords {
    guard let entry = unsafe GroupTable.entry(address) else {
      preconditionFailure("an entry has an address")
    }
    return unsafe StateWords(entry + 8, count: wordCount)
  }

  /// The bytes of the state at an address; for ``GroupFold/values`` those of its first chunk.
  func stateView(at address: UInt64) -> ByteView {
    let words = state(at: address)
    if case .blob = fold { return BlobState(words, arena: arena).view }
    return words.view
  }
}

/// The state of one group while its pieces are merged.
///
/// Safe: the words lie in a buffer that it owns.
@safe
final class MergedState {
  private let fold: GroupFold
  private let pool: ChunkPool
  private let buffer: OwnedBuffer
  private var arena: Arena
  private let words: StateWords
  private var isNew = true

  /// A blob's memory is used again for the next group while it is smaller.
  private static let keptByteCount = 1 << 20

  init(_ fold: GroupFold, pool: ChunkPool) throws(StoreError) {
    self.fold = fold
    self.pool = pool
    guard let buffer = OwnedBuffer(count: 8 * fold.wordCount) else {
      throw .resourceExhausted("memory for a state")
    }
    self.buffer = buffer
    arena = Arena(pool: pool)
    words = unsafe StateWords(buffer.start, count: fold.wordCount)
    words.clear()
  }

  /// Begins a group.
  func clear() {
    isNew = true
    guard case .blob = fold else { return words.clear() }
    if arena.byteCount > MergedState.keptByteCount {
      arena = Arena(pool: pool)
      words.clear()
    } else {
      // The room stays, what it held does not.
      words[1] = (words[1] >> 32) << 32
    }
  }

  func merge(_ piece: ByteView) throws(StoreError) {
    defer { isNew = false }
    guard case .blob(let blob) = fold else {
      return fold.merge(piece, into: words, isNew: isNew)
    }
    var state = BlobState(words, arena: arena)
    if isNew { return try state.replace(by: piece.span) }
    try blob.merge(piece.span, into: &state)
  }

  var view: ByteView {
    if case .blob = fold { return BlobState(words, arena: arena).view }
    return words.view
  }
}
