// EncodedBatch+Checks — building a batch from what a user gives, within the limits.
//
// Room:    Engine/Shard.

extension EncodedBatch {
  /// Appends a put.
  ///
  /// - Returns: why it was refused; the batch is then unchanged.
  package mutating func put(keyspace: UInt32, key: RawSpan, value: RawSpan) -> StoreError? {
    if let refusal = EncodedBatch.refusal(ofKey: key.byteCount, empty: false) { return refusal }
    guard value.byteCount <= Limits.valueByteCount else {
      return .invalidArgument(
        "a value of \(value.byteCount) bytes exceeds the limit of \(Limits.valueByteCount)")
    }
    key.withView { key in
      value.withView { value in append(.value, keyspace: keyspace, key, value) }
    }
    return nil
  }

  /// Appends a delete.
  package mutating func delete(keyspace: UInt32, key: RawSpan) -> StoreError? {
    if let refusal = EncodedBatch.refusal(ofKey: key.byteCount, empty: false) { return refusal }
    key.withView { append(.deletion, keyspace: keyspace, $0, .empty) }
    return nil
  }

  /// Appends a delete of `[from, to)`, without an end when `to` is nil; an empty range changes
  /// nothing.
  package mutating func deleteRange(
    keyspace: UInt32, from: [UInt8], to: [UInt8]?
  ) -> StoreError? {
    for bound in [from.count, to?.count ?? 0] {
      if let refusal = EncodedBatch.refusal(ofKey: bound, empty: true) { return refusal }
    }
    from.withView { from in
      guard let to else { return append(.rangeDeletion, keyspace: keyspace, from, .empty) }
      to.withView { to in
        if from.compare(to) < 0 { append(.rangeDeletion, keyspace: keyspace, from, to) }
      }
    }
    return nil
  }

  /// Appends an event to a partition of a stream; its bytes are copied.
  ///
  /// - Parameter timestamp: nil stands for the time of the commit.
  package mutating func append(
    timestamp: Int64?, key: RawSpan?, value: RawSpan, headers: [EventContent.Header] = [],
    stream: KeyspaceState, partition: UInt32, isReported: Bool = true
  ) -> StoreError? {
    value.withView { value in
      guard let key else {
        return check(
          EventBytes(timestamp: timestamp, key: nil, value: value, headers: headers),
          stream, partition, isReported: isReported)
      }
      return key.withView { key in
        check(
          EventBytes(timestamp: timestamp, key: key, value: value, headers: headers),
          stream, partition, isReported: isReported)
      }
    }
  }

  /// Appends an event that is within the limits.
  @inline(__always)
  private mutating func check(
    _ event: EventBytes, _ stream: KeyspaceState, _ partition: UInt32, isReported: Bool
  ) -> StoreError? {
    if stream.isDropped { return .notFound("stream \(stream.name)") }
    guard let count = stream.partitionCount, partition < count else {
      return .invalidArgument(
        "stream \(stream.name) has no partition \(partition)")
    }
    guard event.headers.count <= EventContent.headerLimit else {
      return .invalidArgument("an event has at most \(EventContent.headerLimit) headers")
    }
    var byteCount = event.value.count + (event.key?.count ?? 0)
    for header in event.headers { byteCount += header.name.count + header.value.count + 20 }
    guard byteCount <= Limits.valueByteCount - 64 else {
      return .invalidArgument(
        "an event of \(byteCount) bytes exceeds the limit of \(Limits.valueByteCount - 64)")
    }
    append(event, stream: stream.id, partition: partition, isReported: isReported)
    return nil
  }

  /// Says that the event which is appended next is its producer's event `number`.
  package mutating func claim(_ number: UInt64, by producer: ProducerID) -> StoreError? {
    guard number < Limits.counter else {
      return .invalidArgument("the number \(number) of a producer's event")
    }
    if claim(number, of: producer) { return nil }
    return .invalidArgument(
      "a batch has the events of one producer at most, one after the other")
  }

  /// Appends what makes the store forget a producer.
  package mutating func remove(_ producer: ProducerID) -> StoreError? {
    if forget(producer) { return nil }
    return .invalidArgument("a producer is removed in a batch without events of another")
  }

  private static func refusal(ofKey byteCount: Int, empty: Bool) -> StoreError? {
    if byteCount == 0 && !empty { return .invalidArgument("a key has at least one byte") }
    guard byteCount <= Limits.keyByteCount else {
      return .invalidArgument(
        "a key of \(byteCount) bytes exceeds the limit of \(Limits.keyByteCount)")
    }
    return nil
  }
}

extension Engine {
  /// The memory budget that the engine was opened with.
  package var memoryBudgetByteCount: Int { budget.byteCount }
}
