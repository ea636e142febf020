// LeaderOwned — state that whoever holds a token changes in place.
//
// Room:    Engine/Bytes.

/// Holds what the leader of the commit queue alone uses.
///
/// A stored property of a class would do, but for its price: the runtime notes each change in place
/// in a list of the thread's accesses, 100 instructions and several times in each commit.
///
/// Safe to share: one thread at a time calls `change`, the leader, and the hand-over of the lead
/// orders the memory; before there is a queue it is the thread that opens the store.
@safe
final class LeaderOwned<Value>: @unchecked Sendable {
  private let place: UnsafeMutablePointer<Value>

  init(_ value: Value) {
    // Safe: one value's room, initialised here and until deinit.
    unsafe place = .allocate(capacity: 1)
    unsafe place.initialize(to: value)
  }

  deinit {
    unsafe place.deinitialize(count: 1)
    unsafe place.deallocate()
  }

  /// Calls `body` with the state, which it may change.
  ///
  /// Not to be called within itself: nobody would notice.
  @inline(__always)
  func change<Result, Failure: Error>(
    _ body: (inout Value) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    // Safe: initialised from init to deinit, and used by one thread at a time.
    try unsafe body(&place.pointee)
  }
}
