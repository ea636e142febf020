// Published — an object that many read and one in a long while replaces.
//
// Room:    Engine/Bytes.

import Synchronization

/// A place for an object that never changes, but for another.
///
/// Reading takes no lock and counts no reference. What was replaced lives as long as the place:
/// for things of which there are a few in the life of a store.
///
/// Safe to share: the object that `current` refers to is in `all`, which keeps every one, and only
/// grows.
@safe
final class Published<Value: AnyObject & Sendable>: Sendable {
  private let current: Atomic<Unmanaged<Value>>
  private let all: Mutex<[Value]>

  init(_ value: Value) {
    all = Mutex([value])
    // Safe: `all` holds the object until deinit, as it does every later one.
    unsafe current = Atomic(Unmanaged.passUnretained(value))
  }

  /// Calls `body` with the object that stands here now.
  @inline(__always)
  func read<Result>(_ body: (Value) -> Result) -> Result {
    // Safe: see init.
    unsafe current.load(ordering: .acquiring)._withUnsafeGuaranteedRef(body)
  }

  /// The object that stands here now.
  var value: Value { read { $0 } }

  /// Tells one object from every other that stood or will stand here.
  @inline(__always)
  var edition: UInt {
    // Safe: the address is compared, and no object's is used again while the place lives.
    unsafe UInt(bitPattern: current.load(ordering: .acquiring).toOpaque())
  }

  /// Puts another object here.
  ///
  /// By one thread at a time.
  func replace(with value: Value) {
    all.withLock { $0.append(value) }
    // Safe: see init.
    unsafe current.store(Unmanaged.passUnretained(value), ordering: .releasing)
  }
}
