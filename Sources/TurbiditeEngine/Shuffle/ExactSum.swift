// ExactSum — the sum of floating-point numbers as if no addition were ever rounded.
//
// Room:    Engine/Shuffle.
// Source:  The small superaccumulator of Neal, Fast Exact Summation Using Small and Large
//          Superaccumulators, 2015, section 2; of its 67 limbs we keep those that were touched.
// Limits:  A group costs 16 bytes and 8 for each 32 bits that its numbers span: 48 mostly.

/// Sums doubles exactly, and so in any order: the result is the double nearest to the true sum.
///
/// The state is flags (1 byte), the number of the first limb (1), two bytes of nothing, the
/// additions since limbs were normalised (4), the count of numbers (8), and limbs (8 each). Limb
/// `i` counts units of 2^(32 i - 1074).
package struct ExactSum: BlobFold {
  package var isOrderFree: Bool { true }

  package init() {}

  private static let headerByteCount = 16
  /// Each addition changes a limb by less than 2^32.
  private static let additionLimit: UInt32 = 1 << 29

  private struct Flags {
    static let nan: UInt8 = 1
    static let infinity: UInt8 = 2
    static let negativeInfinity: UInt8 = 4
  }

  package func add(_ word: UInt64, to state: inout BlobState) throws(StoreError) {
    if state.byteCount == 0 { try state.resize(to: ExactSum.headerByteCount) }
    state.store(state.load(8, as: UInt64.self) &+ 1, at: 8)
    let exponent = Int(word >> 52 & 0x7ff)
    var mantissa = word & (1 << 52 - 1)
    let isNegative = word >> 63 == 1
    if exponent == 0x7ff {
      let flag =
        mantissa != 0 ? Flags.nan : isNegative ? Flags.negativeInfinity : Flags.infinity
      return state.store(state.load(0, as: UInt8.self) | flag, at: 0)
    }
    if exponent > 0 { mantissa |= 1 << 52 }
    if mantissa == 0 { return }
    let shift = max(exponent, 1) - 1
    let (limb, bits) = (shift / 32, UInt64(shift % 32))
    let low = mantissa << bits
    let high = bits == 0 ? 0 : mantissa >> (64 - bits)
    try makeRoom(for: limb, in: &state)
    let first = Int(state.load(1, as: UInt8.self))
    let place = ExactSum.headerByteCount + 8 * (limb - first)
    for (index, part) in [low & 0xffff_ffff, low >> 32, high].enumerated() where part != 0 {
      let old = state.load(place + 8 * index, as: Int64.self)
      let change = Int64(bitPattern: part)
      state.store(isNegative ? old - change : old + change, at: place + 8 * index)
    }
    let additions = state.load(4, as: UInt32.self) + 1
    state.store(additions, at: 4)
    if additions >= ExactSum.additionLimit {
      var limbs = Limbs(state.view)
      limbs.normalise()
      try limbs.write(to: &state)
    }
  }

  package func add(_ value: RawSpan, to state: inout BlobState) throws(StoreError) {
    preconditionFailure("a sum is of words")
  }

  package func merge(_ piece: RawSpan, into state: inout BlobState) throws(StoreError) {
    try piece.withView { piece throws(StoreError) in
      var other = Limbs(piece)
      if state.byteCount == 0 { return try other.write(to: &state) }
      var limbs = Limbs(state.view)
      other.normalise()
      limbs.normalise()
      limbs.add(other)
      try limbs.write(to: &state)
    }
  }

  /// Has the limbs cover `limb` and the two above it.
  private func makeRoom(for limb: Int, in state: inout BlobState) throws(StoreError) {
    let count = (state.byteCount - ExactSum.headerByteCount) / 8
    let first = Int(state.load(1, as: UInt8.self))
    if count > 0, limb >= first, limb + 3 <= first + count { return }
    var limbs = Limbs(state.view)
    limbs.cover(limb, limb + 3)
    try limbs.write(to: &state)
  }

  /// The double nearest to the sum, ties to even; infinite or NaN as IEEE 754 has it.
  package static func result(_ state: RawSpan) -> Double {
    state.withView { view in
      guard view.count >= headerByteCount else { return 0 }
      let flags = view[0]
      let infinities = flags & (Flags.infinity | Flags.negativeInfinity)
      if flags & Flags.nan != 0 || infinities == Flags.infinity | Flags.negativeInfinity {
        return .nan
      }
      if infinities != 0 { return infinities == Flags.infinity ? .infinity : -.infinity }
      var limbs = Limbs(view)
      limbs.normalise()
      return limbs.rounded
    }
  }

  /// How many numbers were added.
  package static func count(_ state: RawSpan) -> UInt64 {
    state.withView { $0.count < headerByteCount ? 0 : $0.load(8, as: UInt64.self) }
  }

  /// The limbs out of their state.
  private struct Limbs {
    var flags: UInt8
    var first: Int
    var additions: UInt32
    var count: UInt64
    var values: [Int64]

    init(_ view: ByteView) {
      flags = view[0]
      first = Int(view[1])
      additions = view.load(4, as: UInt32.self)
      count = view.load(8, as: UInt64.self)
      values = (0..<(view.count - headerByteCount) / 8).map {
        view.load(headerByteCount + 8 * $0, as: Int64.self)
      }
    }

    func write(to state: inout BlobState) throws(StoreError) {
      try state.resize(to: headerByteCount + 8 * values.count)
      state.store(flags, at: 0)
      state.store(UInt8(first), at: 1)
      state.store(additions, at: 4)
      state.store(count, at: 8)
      for (index, value) in values.enumerated() {
        state.store(value, at: headerByteCount + 8 * index)
      }
    }

    mutating func cover(_ from: Int, _ to: Int) {
      if values.isEmpty { first = from }
      if from < first {
        values.insert(contentsOf: repeatElement(0, count: first - from), at: 0)
        first = from
      }
      while first + values.count < to { values.append(0) }
    }

    /// Makes every limb but the last 0 to 2^32 - 1, and the last -1 or one of these.
    mutating func normalise() {
      var carry: Int64 = 0
      for index in values.indices {
        let sum = values[index] + carry
        values[index] = sum & 0xffff_ffff
        carry = sum >> 32
      }
      while carry != 0 && carry != -1 {
        values.append(carry & 0xffff_ffff)
        carry >>= 32
      }
      if carry == -1 { values.append(-1) }
      while values.last == 0 { values.removeLast() }
      // -1 above a limb of all ones says the same as -1 in its place: one spelling for each sum.
      while values.count > 1, values[values.count - 1] == -1,
        values[values.count - 2] == 0xffff_ffff
      {
        values.removeLast()
        values[values.count - 1] = -1
      }
      additions = 1
    }

    mutating func add(_ other: Limbs) {
      flags |= other.flags
      count &+= other.count
      guard !other.values.isEmpty else { return }
      cover(other.first, other.first + other.values.count)
      for (index, value) in other.values.enumerated() {
        values[other.first - first + index] += value
      }
      additions = 2
    }

    /// Of normalised limbs.
    var rounded: Double {
      guard let last = values.last else { return 0 }
      var magnitude = self
      if last < 0 {
        for index in magnitude.values.indices { magnitude.values[index].negate() }
        magnitude.normalise()
      }
      let limbs = magnitude.values
      guard let top = limbs.last else { return 0 }
      // The bits from the highest one on, counted in units of 2^-1074.
      let bitCount = 32 * (magnitude.first + limbs.count - 1) + (64 - top.leadingZeroBitCount)
      func bit(_ index: Int) -> UInt64 {
        let limb = index / 32 - magnitude.first
        guard limbs.indices.contains(limb) else { return 0 }
        return UInt64(limbs[limb]) >> UInt64(index % 32) & 1
      }
      let shift = max(0, bitCount - 53)
      var mantissa: UInt64 = 0
      for index in stride(from: bitCount - 1, through: shift, by: -1) {
        mantissa = mantissa << 1 | bit(index)
      }
      if shift > 0, bit(shift - 1) == 1 {
        let isTie = !(0..<shift - 1).contains { bit($0) == 1 }
        if !isTie || mantissa & 1 == 1 { mantissa += 1 }
      }
      // Two steps: the smallest exponent alone is out of range for a power of two.
      let value = Double(sign: .plus, exponent: shift - 1074, significand: Double(mantissa))
      return last < 0 ? -value : value
    }
  }
}
