// Reducer — what becomes of the values of a key.
//
// Room:    Turbidite/Jobs.

internal import TurbiditeEngine

/// Makes one result of all values that were emitted under a key.
///
/// Those with names (``count``, ``sum``, ``min``, ``max``, ``mean``, ``top(_:)``, ``distinct``,
/// ``histogram``) keep a small state for each key, and give the same result for any order of the
/// values: sums of doubles are exact before they are rounded, once. ``combining(_:)`` and
/// ``folding(_:_:merge:)`` keep a state of the caller's; ``group(_:)`` shows all values of a key in
/// the order of the input, that is in the order of the keys or the offsets they were emitted for.
///
/// Where nothing says of what type the emitted values are, ``sum`` and the like are those of `Int`;
/// a map whose second parameter is an `Emitter<Double>` says so.
public struct Reducer<Value: JobValue, Output: Sendable>: Sendable {
  let fold: GroupFold
  /// Ends a group; it throws what the caller's code throws.
  let finish: @Sendable (RawSpan, RawSpan, GroupReader) throws -> Output

  init(
    _ fold: GroupFold,
    finish: @escaping @Sendable (RawSpan, RawSpan, GroupReader) throws -> Output
  ) {
    self.fold = fold
    self.finish = finish
  }

  /// A reducer that needs nothing but the state.
  init(_ fold: GroupFold, _ result: @escaping @Sendable (RawSpan) throws -> Output) {
    self.init(fold) { _, state, _ in try result(state) }
  }

  /// The same, with something made of its result.
  public func map<Result: Sendable>(
    _ transform: @escaping @Sendable (Output) throws -> Result
  ) -> Reducer<Value, Result> {
    let finish = finish
    return Reducer<Value, Result>(fold) { try transform(finish($0, $1, $2)) }
  }

  /// What `body` makes of a key and all its values, in the order of the input.
  ///
  /// The values need not fit in memory. `body` may leave some unread.
  public static func group(
    _ body: @escaping @Sendable (Bytes, Values<Value>) throws -> Output
  ) -> Reducer {
    Reducer(.values) { key, _, reader in
      let values = Values<Value>(reader)
      let output = try body(Bytes(copying: key), values)
      // What broke off the values counts, whatever was made of them.
      if let failure = values.failure { throw failure }
      return output
    }
  }
}

extension Reducer where Output == Int {
  /// How many values there are.
  public static var count: Reducer { Reducer(.count) { Int(words($0)[0]) } }

  /// About how many different values there are: exactly up to 256, then with a standard error of
  /// 1.6 %.
  ///
  /// A key costs up to 4 KiB.
  public static var distinct: Reducer {
    Reducer(.blob(HyperLogLog())) { HyperLogLog.estimate($0) }
  }
}

extension Reducer where Value == Int, Output == Int {
  /// The sum of the values; an error of class `userCode` where it is no `Int`.
  public static var sum: Reducer {
    Reducer(.sum) { state in
      let sum = wideSum(state)
      guard let result = Int(exactly: sum) else {
        throw JobFailure("a sum is \(sum), which is beyond 64 bits")
      }
      return result
    }
  }

  /// The smallest value.
  public static var min: Reducer { Reducer(.least(.integer)) { Int(jobWord: words($0)[0]) } }

  /// The largest value.
  public static var max: Reducer { Reducer(.greatest(.integer)) { Int(jobWord: words($0)[0]) } }
}

extension Reducer where Value == Int, Output == Double {
  /// The sum, exactly, divided by the count.
  public static var mean: Reducer {
    Reducer(.mean) { Double(wideSum($0)) / Double(words($0)[2]) }
  }
}

extension Reducer where Value == Double, Output == Double {
  /// The double nearest to the true sum; infinite or NaN as IEEE 754 has it.
  @_disfavoredOverload
  public static var sum: Reducer { Reducer(.blob(ExactSum())) { ExactSum.result($0) } }

  /// The double nearest to the true sum, divided by the count.
  @_disfavoredOverload
  public static var mean: Reducer {
    Reducer(.blob(ExactSum())) { ExactSum.result($0) / Double(ExactSum.count($0)) }
  }

  /// The smallest value: -0 is before 0, and NaN behind infinity.
  @_disfavoredOverload
  public static var min: Reducer { Reducer(.least(.double)) { Double(jobWord: words($0)[0]) } }

  /// The largest value, in the same order.
  @_disfavoredOverload
  public static var max: Reducer {
    Reducer(.greatest(.double)) { Double(jobWord: words($0)[0]) }
  }
}

extension Reducer where Value == Int, Output == [Int] {
  /// The `count` largest values, the largest first.
  ///
  /// - Precondition: `count` is at least 1.
  public static func top(_ count: Int) -> Reducer {
    Reducer(.blob(TopWords(limit: count, order: .integer))) {
      TopWords.words($0).map { Int(jobWord: $0) }
    }
  }
}

extension Reducer where Value == Double, Output == [Double] {
  /// The `count` largest values, the largest first.
  ///
  /// - Precondition: `count` is at least 1.
  @_disfavoredOverload
  public static func top(_ count: Int) -> Reducer {
    Reducer(.blob(TopWords(limit: count, order: .double))) {
      TopWords.words($0).map { Double(jobWord: $0) }
    }
  }
}

extension Reducer where Value == Int, Output == Histogram {
  /// How the values are spread.
  public static var histogram: Reducer {
    Reducer(.blob(WordHistogram(.integer))) { Histogram($0) }
  }
}

extension Reducer where Value == Double, Output == Histogram {
  /// How the values are spread.
  @_disfavoredOverload
  public static var histogram: Reducer {
    Reducer(.blob(WordHistogram(.double))) { Histogram($0) }
  }
}

extension Reducer where Value == Bytes, Output == Bytes {
  /// The first value in bytewise order.
  @_disfavoredOverload
  public static var min: Reducer {
    Reducer(.blob(ExtremeBytes(isGreatest: false))) { ExtremeBytes.value($0, Bytes.init) }
  }

  /// The last value in bytewise order.
  @_disfavoredOverload
  public static var max: Reducer {
    Reducer(.blob(ExtremeBytes(isGreatest: true))) { ExtremeBytes.value($0, Bytes.init) }
  }
}

/// The words of a state.
private func words(_ state: RawSpan) -> [UInt64] { TopWords.words(state) }

/// The first two words of a state as an integer of 128 bits.
private func wideSum(_ state: RawSpan) -> Int128 {
  let words = words(state)
  return Int128(Int64(bitPattern: words[1])) << 64 | Int128(words[0])
}

/// How numbers are spread over buckets an eighth of a power of two wide.
public struct Histogram: Sendable, Hashable {
  /// The numbers that are at least `from`, and less than the next bucket's.
  public struct Bucket: Sendable, Hashable {
    /// The smallest number that belongs to the bucket.
    public var from: Double
    /// How many there were.
    public var count: Int
  }

  /// The buckets that are not empty, in ascending order.
  public var buckets: [Bucket]

  init(_ state: RawSpan) {
    buckets = WordHistogram.buckets(state).map {
      Bucket(from: WordHistogram.lowerBound($0.number), count: Int($0.count))
    }
  }

  /// How many numbers there were.
  public var count: Int { buckets.reduce(0) { $0 + $1.count } }

  /// Where the bucket begins below which at most this share of the numbers lies; nil when there are
  /// none.
  ///
  /// - Precondition: 0 ... 1.
  public func quantile(_ share: Double) -> Double? {
    precondition(share >= 0, "a share is not negative")
    precondition(share <= 1, "a share is at most 1")
    let wanted = share * Double(count)
    var passed = 0
    for bucket in buckets {
      passed += bucket.count
      if Double(passed) >= wanted { return bucket.from }
    }
    return nil
  }
}

/// Says why a job's own code refused.
struct JobFailure: Error, CustomStringConvertible {
  let description: String

  init(_ description: String) { self.description = description }
}
