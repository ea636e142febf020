// GroupFold — how the values of one key become one state, whatever their order of arrival.
//
// Room:    Engine/Shuffle.
// Limits:  A state of words has at most three. States live as long as a job: they have no format.

/// How words are compared.
package enum WordOrder: Sendable {
  /// As `Int64`.
  case integer
  /// As `Double`: -infinity first, -0 before 0, and every NaN behind infinity.
  case double

  /// The word that stands for it and all that are equal to it.
  @inline(__always)
  func canonical(_ word: UInt64) -> UInt64 {
    if case .double = self, Double(bitPattern: word).isNaN { return Double.nan.bitPattern }
    return word
  }

  /// A number that compares as the word does.
  @inline(__always)
  func rank(_ word: UInt64) -> UInt64 {
    switch self {
    case .integer: return word ^ (1 << 63)
    case .double:
      let value = Double(bitPattern: word)
      if value.isNaN { return .max }
      return word >> 63 == 1 ? ~word : word ^ (1 << 63)
    }
  }
}

/// What becomes of the values of a key.
///
/// A value is a word of 64 bits or a run of bytes. All but ``word(_:)``, ``values`` and some blobs
/// give the same state for any order of values and any way to merge states; for those, values are
/// added and states are merged in the order of the input.
package enum GroupFold: Sendable {
  /// How many there are.
  case count
  /// The sum of integers, in 128 bits: that many never overflow it.
  case sum
  /// Sum and count.
  case mean
  case least(WordOrder)
  case greatest(WordOrder)
  /// What a function of the caller's makes of two words; it must be associative.
  case word(@Sendable (UInt64, UInt64) -> UInt64)
  /// A state of bytes.
  case blob(any BlobFold)
  /// All values, in the order of the input.
  case values

  /// The words of a state where it lies.
  var wordCount: Int {
    switch self {
    case .count, .least, .greatest, .word: 1
    case .sum, .blob: 2
    case .mean, .values: 3
    }
  }

  /// Whether the order of values and states makes no difference.
  var isOrderFree: Bool {
    switch self {
    case .count, .sum, .mean, .least, .greatest: true
    case .blob(let fold): fold.isOrderFree
    case .word, .values: false
    }
  }

  /// Adds a value to a state of words, which is all zeros when new.
  @inline(__always)
  func add(_ word: UInt64, to state: StateWords, isNew: Bool) {
    switch self {
    case .count: state[0] &+= 1
    case .sum: GroupFold.addSum(word, to: state)
    case .mean:
      GroupFold.addSum(word, to: state)
      state[2] &+= 1
    case .least(let order):
      if isNew || order.rank(word) < order.rank(state[0]) { state[0] = order.canonical(word) }
    case .greatest(let order):
      if isNew || order.rank(word) > order.rank(state[0]) { state[0] = order.canonical(word) }
    case .word(let function): state[0] = isNew ? word : function(state[0], word)
    case .blob, .values: preconditionFailure("a state of bytes")
    }
  }

  /// Merges a state of words, as ``add(_:to:isNew:)`` left it, into another.
  func merge(_ piece: ByteView, into state: StateWords, isNew: Bool) {
    let first = piece.load(0, as: UInt64.self)
    switch self {
    case .count: state[0] &+= first
    case .sum, .mean:
      let (low, carry) = state[0].addingReportingOverflow(first)
      state[0] = low
      state[1] = state[1] &+ piece.load(8, as: UInt64.self) &+ (carry ? 1 : 0)
      if case .mean = self { state[2] &+= piece.load(16, as: UInt64.self) }
    case .least, .greatest, .word: add(first, to: state, isNew: isNew)
    case .blob, .values: preconditionFailure("a state of bytes")
    }
  }

  /// Adds a signed word to a sum of 128 bits.
  @inline(__always)
  static func addSum(_ word: UInt64, to state: StateWords) {
    let (low, carry) = state[0].addingReportingOverflow(word)
    state[0] = low
    let sign = UInt64(bitPattern: Int64(bitPattern: word) >> 63)
    state[1] = state[1] &+ sign &+ (carry ? 1 : 0)
  }
}

/// A fold whose state is a run of bytes, empty at first.
package protocol BlobFold: Sendable {
  /// Whether the order of values and states makes no difference.
  var isOrderFree: Bool { get }

  /// Adds a word.
  func add(_ word: UInt64, to state: inout BlobState) throws(StoreError)

  /// Adds a value of bytes.
  func add(_ value: RawSpan, to state: inout BlobState) throws(StoreError)

  /// Merges a state into another, which is empty when new.
  func merge(_ piece: RawSpan, into state: inout BlobState) throws(StoreError)
}

extension BlobFold {
  /// A word is the value of its bytes, low byte first, to who does not know better.
  package func add(_ word: UInt64, to state: inout BlobState) throws(StoreError) {
    var bytes: [UInt8] = []
    bytes.append(littleEndian: word)
    try add(bytes.span.rawBytes, to: &state)
  }
}
