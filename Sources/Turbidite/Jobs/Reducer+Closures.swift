// Reducer+Closures — reducers that are made of the caller's functions.
//
// Room:    Turbidite/Jobs.

internal import TurbiditeEngine

extension Reducer where Value == Output {
  /// What `combine` makes of all values, two at a time.
  ///
  /// Must be associative, as then it makes no difference where the input is cut: `(a b) c` is
  /// `a (b c)`. It need not be commutative: values are combined in the order of the input. Adding
  /// doubles is not associative; ``sum`` is exact.
  public static func combining(
    _ combine: @escaping @Sendable (Value, Value) -> Value
  ) -> Reducer {
    let fold = ByteFold { (state: [UInt8]?, value: RawSpan) throws(StoreError) -> [UInt8] in
      let value: Value = try decoded(value)
      guard let state else { return encoded(value) }
      return encoded(combine(try decoded(state), value))
    }
    return Reducer(.blob(fold)) { try decoded(ByteFold.content($0)) as Value }
  }
}

extension Reducer where Value == Output, Value: WordJobValue {
  /// What `combine` makes of all values, two at a time.
  ///
  /// Must be associative, as then it makes no difference where the input is cut: `(a b) c` is
  /// `a (b c)`. It need not be commutative: values are combined in the order of the input. Adding
  /// doubles is not associative; ``sum`` is exact.
  public static func combining(
    _ combine: @escaping @Sendable (Value, Value) -> Value
  ) -> Reducer {
    Reducer(.word { combine(Value(jobWord: $0), Value(jobWord: $1)).jobWord }) { state in
      Value(jobWord: TopWords.words(state)[0])
    }
  }
}

extension Reducer where Output: JobValue {
  /// A state that takes the values of a key one by one.
  ///
  /// For each key the state begins as `initial`. Where the input is cut, the states of the parts
  /// are merged, in the order of the input: adding `a` and then `b` must come to the same as
  /// merging a state with `a` and one with `b`.
  public static func folding(
    _ initial: Output, _ add: @escaping @Sendable (inout Output, Value) -> Void,
    merge: @escaping @Sendable (inout Output, Output) -> Void
  ) -> Reducer {
    let fold = ByteFold(
      add: { (bytes: [UInt8]?, value: RawSpan) throws(StoreError) -> [UInt8] in
        var state = initial
        if let bytes { state = try decoded(bytes) }
        add(&state, try decoded(value))
        return encoded(state)
      },
      merge: { (bytes: [UInt8]?, piece: RawSpan) throws(StoreError) -> [UInt8] in
        let other: Output = try decoded(piece)
        guard let bytes else { return encoded(other) }
        var state: Output = try decoded(bytes)
        merge(&state, other)
        return encoded(state)
      })
    return Reducer(.blob(fold)) { try decoded(ByteFold.content($0)) as Output }
  }
}

/// A fold by functions of the caller's, whose states are the bytes of a value.
private struct ByteFold: BlobFold {
  typealias Step = @Sendable ([UInt8]?, RawSpan) throws(StoreError) -> [UInt8]

  let add: Step
  let merge: Step
  var isOrderFree: Bool { false }

  init(add: @escaping Step, merge: @escaping Step) {
    self.add = add
    self.merge = merge
  }

  /// A value is a state.
  init(_ step: @escaping Step) { self.init(add: step, merge: step) }

  func add(_ value: RawSpan, to state: inout BlobState) throws(StoreError) {
    try apply(add, value, to: &state)
  }

  func merge(_ piece: RawSpan, into state: inout BlobState) throws(StoreError) {
    try apply(merge, ByteFold.content(piece), to: &state)
  }

  /// What a state holds: it begins with a byte, so that one of no bytes is not taken for none.
  @_lifetime(copy state)
  static func content(_ state: RawSpan) -> RawSpan { state.extracting(droppingFirst: 1) }

  private func apply(
    _ step: Step, _ bytes: RawSpan, to state: inout BlobState
  ) throws(StoreError) {
    let old = state.byteCount == 0 ? nil : state.withBytes { Bytes(copying: $0).array }
    let new = Bytes(try step(old, bytes))
    try new.withSpan { span throws(StoreError) in try state.replace(by: span) }
  }
}

private func encoded(_ value: some JobValue) -> [UInt8] {
  var bytes: [UInt8] = [1]
  value.append(toJobBytes: &bytes)
  return bytes
}

private func decoded<Value: JobValue>(_ state: [UInt8]) throws(StoreError) -> Value {
  try Bytes(Array(state.dropFirst())).withSpan { span throws(StoreError) in try decoded(span) }
}

private func decoded<Value: JobValue>(_ bytes: RawSpan) throws(StoreError) -> Value {
  guard let value = Value(jobBytes: bytes) else {
    throw .userCode(
      "\(Value.self) does not know its own \(bytes.byteCount) bytes again (init(jobBytes:))")
  }
  return value
}
