// Emitter — what a map calls for each key and value that it makes of a record.
//
// Room:    Turbidite/Jobs.

internal import TurbiditeEngine

/// Takes the keys and values that a map emits.
///
/// It is the map's while it is called, and not to be kept. What cannot be taken, a key of more than
/// 65,536 bytes, or a value of more than 64 MiB, ends the job.
public struct Emitter<Value: JobValue> {
  @usableFromInline let sink: JobSink

  init(sink: JobSink) { self.sink = sink }

  /// Emits a value under a key.
  public func callAsFunction(_ key: Bytes, _ value: Value) {
    key.withSpan { callAsFunction($0, value) }
  }

  /// Emits a value under a key.
  public func callAsFunction(_ key: RawSpan, _ value: Value) { sink.add(key, value) }

  /// Adds to one of the job's counters.
  public func count(_ name: String, by amount: Int = 1) { sink.count(name, by: amount) }
}

extension Emitter where Value: WordJobValue {
  /// Emits a value under a key.
  @inlinable
  public func callAsFunction(_ key: RawSpan, _ value: Value) {
    sink.add(key, word: value.jobWord)
  }

  /// Emits a value under a key.
  public func callAsFunction(_ key: Bytes, _ value: Value) {
    key.withSpan { sink.add($0, word: value.jobWord) }
  }
}

/// One worker's side of the emitters.
///
/// One thread at a time uses it.
@usableFromInline
final class JobSink {
  let groups: GroupSink
  private(set) var counters: [String: Int] = [:]
  private var scratch: [UInt8] = []

  init(_ groups: GroupSink) { self.groups = groups }

  @usableFromInline
  func add(_ key: RawSpan, word: UInt64) { groups.add(key, word: word) }

  func add(_ key: RawSpan, _ value: some JobValue) {
    // Generic code does not know that its values are words, but the reducer may fold nothing else.
    if let value = value as? any WordJobValue { return add(key, word: value.jobWord) }
    scratch.removeAll(keepingCapacity: true)
    value.append(toJobBytes: &scratch)
    // Taken out meanwhile: the span borrows it.
    let bytes = Bytes(scratch)
    bytes.withSpan { groups.add(key, value: $0) }
  }

  func count(_ name: String, by amount: Int) { counters[name, default: 0] &+= amount }
}
