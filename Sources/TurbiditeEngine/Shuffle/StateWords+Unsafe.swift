// StateWords+Unsafe — states of groups where they lie.
//
// Room:    Engine/Shuffle.
// Limits:  One thread at a time. Valid while the arena that they lie in is.

/// The words of a state.
///
/// Safe: the maker vouches for the memory of `count` words, aligned to eight bytes; every access
/// checks its index.
@safe
struct StateWords {
  private let start: UnsafeMutablePointer<UInt64>
  let count: Int

  @unsafe
  init(_ start: UnsafeMutableRawPointer, count: Int) {
    unsafe self.start = start.assumingMemoryBound(to: UInt64.self)
    self.count = count
  }

  @inline(__always)
  subscript(index: Int) -> UInt64 {
    get {
      precondition(UInt(bitPattern: index) < UInt(bitPattern: count))
      return unsafe start[index]
    }
    nonmutating set {
      precondition(UInt(bitPattern: index) < UInt(bitPattern: count))
      unsafe start[index] = newValue
    }
  }

  /// Their bytes.
  var view: ByteView { unsafe ByteView(UnsafeRawPointer(start), count: 8 &* count) }

  func clear() { for index in 0..<count { self[index] = 0 } }
}

/// A state of bytes: the first word is where they are, the second how many and room for how many.
///
/// Safe: `replace` and `resize` are the only ones that set the words, to memory of the arena.
@safe
package struct BlobState {
  private let words: StateWords
  private let arena: Arena

  init(_ words: StateWords, arena: Arena) {
    self.words = words
    self.arena = arena
  }

  package var byteCount: Int { Int(words[1] & 0xffff_ffff) }

  private var capacity: Int { Int(words[1] >> 32) }

  /// The largest state: a job's tables hold it as one value.
  private static let largestByteCount = TableFormat.largestValueByteCount

  var view: ByteView {
    guard byteCount > 0, let start = unsafe UnsafeRawPointer(bitPattern: UInt(words[0])) else {
      return .empty
    }
    return unsafe ByteView(start, count: byteCount)
  }

  /// Lends the bytes.
  package func withBytes<Result>(_ body: (RawSpan) -> Result) -> Result {
    let view = view
    return body(view.span)
  }

  /// The integer at `offset`, low byte first.
  package func load<Value: FixedWidthInteger & BitwiseCopyable>(
    _ offset: Int, as type: Value.Type
  ) -> Value {
    view.load(offset, as: type)
  }

  /// Overwrites the integer at `offset`.
  package mutating func store<Value: FixedWidthInteger & BitwiseCopyable>(
    _ value: Value, at offset: Int
  ) {
    precondition(offset >= 0)
    precondition(offset <= byteCount &- MemoryLayout<Value>.size)
    guard let start = unsafe UnsafeMutableRawPointer(bitPattern: UInt(words[0])) else {
      preconditionFailure("a state without memory has no bytes")
    }
    unsafe start.storeBytes(of: value.littleEndian, toByteOffset: offset, as: Value.self)
  }

  /// Makes the state `count` bytes long; new ones are zeros.
  package mutating func resize(to count: Int) throws(StoreError) {
    let old = byteCount
    if count > capacity { try grow(to: count) }
    words[1] = UInt64(capacity) << 32 | UInt64(count)
    if count > old, let start = unsafe UnsafeMutableRawPointer(bitPattern: UInt(words[0])) {
      unsafe (start + old).initializeMemory(as: UInt8.self, repeating: 0, count: count - old)
    }
  }

  /// Makes the state these bytes.
  package mutating func replace(by bytes: RawSpan) throws(StoreError) {
    try bytes.withView { view throws(StoreError) in
      words[1] = UInt64(capacity) << 32
      if view.count > capacity { try grow(to: view.count) }
      words[1] = UInt64(capacity) << 32 | UInt64(view.count)
      if let start = unsafe UnsafeMutableRawPointer(bitPattern: UInt(words[0])) {
        unsafe view.copy(to: start)
      }
    }
  }

  /// What was there is copied; the old memory stays the arena's until all of it goes.
  private mutating func grow(to count: Int) throws(StoreError) {
    guard count <= BlobState.largestByteCount else {
      throw .resourceExhausted("a state of \(count) bytes, over \(BlobState.largestByteCount)")
    }
    let room = min(max(count, 2 * capacity, 16), BlobState.largestByteCount)
    guard let memory = unsafe arena.allocate(room) else {
      throw .resourceExhausted("\(room) bytes of memory for a state")
    }
    let old = view
    unsafe old.copy(to: memory)
    words[0] = UInt64(UInt(bitPattern: memory))
    words[1] = UInt64(room) << 32 | UInt64(old.count)
  }
}

/// The values of a group, in the order in which they came, in chunks of memory.
///
/// The first word is the first chunk, the second the last, the third where the last value lies in
/// it, plus one. A chunk is the address of the next (8 bytes), its bytes in use (4), its room (4),
/// and values: each how often it comes in a row (4), its length (varint), and its bytes.
///
/// Safe: chunks are the arena's, and nothing is written behind a chunk's room.
@safe
struct ValueChunks {
  let words: StateWords

  private static let headerByteCount = 16
  private static let smallestByteCount = 32
  /// The room of one chunk, unless one value needs more: what a merge holds of a group at a time.
  private static let largestByteCount = 16 << 10

  /// - Returns: whether memory was taken.
  func append(_ value: ByteView, arena: Arena) throws(StoreError) -> Bool {
    if repeatLast(value) { return false }
    let needed = 4 + varintByteCount(UInt64(value.count)) + value.count
    var last = unsafe UnsafeMutableRawPointer(bitPattern: UInt(words[1]))
    var used = 0
    var tookMemory = false
    if let chunk = unsafe last {
      used = Int(unsafe chunk.load(fromByteOffset: 8, as: UInt32.self))
      let capacity = Int(unsafe chunk.load(fromByteOffset: 12, as: UInt32.self))
      if needed > capacity - used {
        unsafe last = try add(capacity * 2, needed, behind: chunk, arena)
        used = 0
        tookMemory = true
      }
    } else {
      unsafe last = try add(ValueChunks.smallestByteCount, needed, behind: nil, arena)
      tookMemory = true
    }
    guard let chunk = unsafe last else { preconditionFailure("a chunk was made") }
    words[2] = UInt64(used + 1)
    var writer = unsafe ChunkWriter(chunk + ValueChunks.headerByteCount + used)
    unsafe writer.append(value)
    unsafe chunk.storeBytes(of: UInt32(used + needed), toByteOffset: 8, as: UInt32.self)
    return tookMemory
  }

  /// Counts the last value once more, if it is this.
  private func repeatLast(_ value: ByteView) -> Bool {
    guard words[2] > 0, let chunk = unsafe UnsafeMutableRawPointer(bitPattern: UInt(words[1]))
    else { return false }
    let used = Int(unsafe chunk.load(fromByteOffset: 8, as: UInt32.self))
    let start = unsafe chunk + ValueChunks.headerByteCount + Int(words[2] - 1)
    let count = used - Int(words[2] - 1)
    let prefix = 4 + varintByteCount(UInt64(value.count))
    guard count == prefix + value.count,
      unsafe ByteView(UnsafeRawPointer(start), count: count).slice(prefix, value.count)
        .isEqual(to: value)
    else { return false }
    let times = unsafe start.loadUnaligned(as: UInt32.self)
    guard times < .max else { return false }
    unsafe start.storeBytes(of: times + 1, as: UInt32.self)
    return true
  }

  private func add(
    _ wanted: Int, _ needed: Int, behind last: UnsafeMutableRawPointer?, _ arena: Arena
  ) throws(StoreError) -> UnsafeMutableRawPointer {
    let room = max(min(wanted, ValueChunks.largestByteCount), needed)
    guard let chunk = unsafe arena.allocate(ValueChunks.headerByteCount + room) else {
      throw .resourceExhausted("\(room) bytes of memory for values")
    }
    unsafe chunk.storeBytes(of: 0, as: UInt64.self)
    unsafe chunk.storeBytes(of: 0, toByteOffset: 8, as: UInt32.self)
    unsafe chunk.storeBytes(of: UInt32(room), toByteOffset: 12, as: UInt32.self)
    let address = UInt64(UInt(bitPattern: chunk))
    if let last = unsafe last {
      unsafe last.storeBytes(of: address, as: UInt64.self)
    } else {
      words[0] = address
    }
    words[1] = address
    return unsafe chunk
  }

  /// The values of the chunk at `address`, and where the next one is; 0 behind the last.
  static func chunk(at address: UInt64) -> (values: ByteView, next: UInt64) {
    guard let chunk = unsafe UnsafeRawPointer(bitPattern: UInt(address)) else {
      preconditionFailure("a chunk has an address")
    }
    let used = Int(unsafe chunk.load(fromByteOffset: 8, as: UInt32.self))
    return (
      unsafe ByteView(chunk + headerByteCount, count: used), unsafe chunk.load(as: UInt64.self)
    )
  }
}

/// Writes one value behind the others of a chunk, whose maker has looked at its room.
@unsafe
private struct ChunkWriter {
  private var position: UnsafeMutableRawPointer

  init(_ start: UnsafeMutableRawPointer) { unsafe position = start }

  mutating func append(_ value: ByteView) {
    unsafe position.storeBytes(of: 1, as: UInt32.self)
    unsafe position += 4
    var rest = UInt64(value.count)
    while rest >= 0x80 {
      unsafe position.storeBytes(of: UInt8(truncatingIfNeeded: rest) | 0x80, as: UInt8.self)
      unsafe position += 1
      rest >>= 7
    }
    unsafe position.storeBytes(of: UInt8(truncatingIfNeeded: rest), as: UInt8.self)
    unsafe value.copy(to: position + 1)
  }
}
