// RawStream — records as bytes with lengths, each proved by a checksum of all before it.
//
// Room:    Tools/TurbiditeCLI.
// Format:  Magic (8 bytes), version (u32 = 1), then records, then the end. All little-endian.
//            record: key length u32, value length u32, key, value, checksum u32
//            end:    0xffffffff, 0, record count u64, checksum u32
//          A checksum is the CRC-32C of every byte of the stream before it, other checksums left
//          out: a record that is damaged, missing, repeated or out of place fails at once, before
//          it is used. (A CRC that runs on over its own value is a constant, and forgets what came
//          before.) A stream without its end was cut.
// Source:  The magic follows PNG's (RFC 2083 section 12.11): a byte above 0x7f and both line ends
//          show a transfer that was not binary.
// Limits:  Keys to 64 KiB, values to 1 GiB. Nothing may follow the end.

/// The raw form's constants.
enum RawStream {
  /// The first bytes.
  static let magic: [UInt8] = [0x89, 0x54, 0x42, 0x44, 0x0d, 0x0a, 0x1a, 0x0a]
  /// The only version there is.
  static let version: UInt32 = 1
  /// In place of a key's length: the end.
  static let end: UInt32 = .max
  /// The longest key.
  static let keyLimit = 64 << 10
  /// The longest value.
  static let valueLimit = 1 << 30

  static func littleEndian(_ value: some FixedWidthInteger & UnsignedInteger) -> [UInt8] {
    (0..<value.bitWidth / 8).map { UInt8(truncatingIfNeeded: value >> ($0 * 8)) }
  }

  static func integer(_ bytes: ArraySlice<UInt8>) -> UInt64 {
    bytes.reversed().reduce(0) { $0 << 8 | UInt64($1) }
  }
}

/// Writes a raw stream.
struct RawWriter {
  private let output: Output
  private var checksum = CyclicChecksum()
  private var count: UInt64 = 0

  /// Writes the head.
  init(_ output: Output) throws(CommandFailure) {
    self.output = output
    try put(RawStream.magic)
    try put(RawStream.littleEndian(RawStream.version))
  }

  /// Writes one record.
  mutating func write(_ record: Record) throws(CommandFailure) {
    precondition(record.key.count <= RawStream.keyLimit)
    precondition(record.value.count <= RawStream.valueLimit)
    try put(
      RawStream.littleEndian(UInt32(record.key.count))
        + RawStream.littleEndian(UInt32(record.value.count)))
    try put(record.key)
    try put(record.value)
    count += 1
    try seal()
  }

  /// Writes the end.
  ///
  /// Without it the stream counts as cut.
  mutating func finish() throws(CommandFailure) {
    try put(RawStream.littleEndian(RawStream.end) + RawStream.littleEndian(UInt32(0)))
    try put(RawStream.littleEndian(count))
    try seal()
  }

  private mutating func seal() throws(CommandFailure) {
    try output.write(RawStream.littleEndian(checksum.value))
  }

  private mutating func put(_ bytes: [UInt8]) throws(CommandFailure) {
    checksum.update(bytes)
    try output.write(bytes)
  }
}

/// Reads a raw stream.
struct RawReader {
  private let input: Input
  private var checksum = CyclicChecksum()
  /// The records read so far.
  private(set) var count: UInt64 = 0
  private var isFinished = false

  /// Reads and checks the head.
  init(_ input: Input) throws(CommandFailure) {
    self.input = input
    let magic = try take(RawStream.magic.count, "the head")
    guard magic == RawStream.magic else {
      throw .badData(
        "not a raw dump", at: input.name, remedy: "say what it is: --as tsv or --as ndjson")
    }
    let version = RawStream.integer(try take(4, "the head")[...])
    guard version == UInt64(RawStream.version) else {
      throw .badData(
        "a raw dump of version \(version); this turbidite reads version \(RawStream.version)",
        at: input.name, remedy: "use a newer turbidite")
    }
  }

  /// The next record, or nil after the end.
  mutating func next() throws(CommandFailure) -> Record? {
    guard !isFinished else { return nil }
    let offset = input.taken
    let what = "record \(count + 1)"
    let head = try take(8, what)
    let keyCount = RawStream.integer(head[0..<4])
    let valueCount = RawStream.integer(head[4..<8])
    if keyCount == UInt64(RawStream.end) {
      try finish(reserved: valueCount, offset: offset)
      return nil
    }
    guard keyCount <= RawStream.keyLimit, valueCount <= RawStream.valueLimit else {
      throw damage("\(what) has lengths that no record has", offset)
    }
    let key = try take(Int(keyCount), what)
    let value = try take(Int(valueCount), what)
    try verify(what, offset)
    count += 1
    return Record(key: key, value: value)
  }

  private mutating func finish(reserved: UInt64, offset: UInt64) throws(CommandFailure) {
    let stated = RawStream.integer(try take(8, "the end")[...])
    try verify("the end", offset)
    guard stated == count, reserved == 0 else {
      throw damage("the end counts \(stated) records; there were \(count)", offset)
    }
    guard try input.peek(1).isEmpty else {
      throw damage("bytes follow the end of the dump", input.taken)
    }
    isFinished = true
  }

  private mutating func verify(_ what: String, _ offset: UInt64) throws(CommandFailure) {
    let stated = RawStream.integer(try takeUnsummed(4, what)[...])
    guard stated == UInt64(checksum.value) else {
      throw damage("\(what) fails its checksum", offset)
    }
  }

  private mutating func take(_ length: Int, _ what: String) throws(CommandFailure) -> [UInt8] {
    let bytes = try takeUnsummed(length, what)
    checksum.update(bytes)
    return bytes
  }

  private func takeUnsummed(_ length: Int, _ what: String) throws(CommandFailure) -> [UInt8] {
    var bytes: [UInt8] = []
    guard try input.take(length, to: &bytes) == length else {
      throw damage("the input ends within \(what); it was cut", input.taken)
    }
    return bytes
  }

  private func damage(_ what: String, _ offset: UInt64) -> CommandFailure {
    .badData(
      what, at: "\(input.name) at offset \(offset)",
      remedy: "make the dump again; the \(count) records before are good")
  }
}
