// Values — all values of a key, one after the other.
//
// Room:    Turbidite/Jobs.

internal import TurbiditeEngine

/// The values that were emitted under one key, in the order of the input.
///
/// They can be walked once, by the reducer they were given to, while it runs. They may come from
/// disk: where that fails they end early, and then the job fails, whatever was made of them.
public final class Values<Value: JobValue>: Sequence, IteratorProtocol {
  private let reader: GroupReader
  /// Why the values ended early.
  private(set) var failure: StoreError?

  init(_ reader: GroupReader) { self.reader = reader }

  /// The next value, or nil behind the last.
  public func next() -> Value? {
    guard failure == nil else { return nil }
    do throws(StoreError) {
      guard try reader.nextValue() else { return nil }
      guard let value = reader.withValue({ Value(jobBytes: $0) }) else {
        throw .userCode("\(Value.self) does not know its own bytes again (init(jobBytes:))")
      }
      return value
    } catch {
      failure = error
      return nil
    }
  }
}
