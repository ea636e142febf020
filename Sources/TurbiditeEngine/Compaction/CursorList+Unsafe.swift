// CursorList — cursors that are asked by their number, and not counted for it.
//
// Room:    Engine/Compaction.

/// The sources of a merge.
///
/// A reference that is read from an array is counted while it is used, twice for each entry of a
/// merge; by perf that took a seventh of a scan.
///
/// Invariant: `references` are those of `cursors`, in their order, and neither ever changes: while
/// this list is there, so are they.
///
/// Safe: no reference leaves the functions below.
@safe
struct CursorList {
  let cursors: [EntryCursor]
  private let references: [Unmanaged<EntryCursor>]

  init(_ cursors: [EntryCursor]) {
    self.cursors = cursors
    unsafe references = cursors.map { unsafe Unmanaged.passUnretained($0) }
  }

  var count: Int { cursors.count }

  @inline(__always)
  func isValid(_ index: Int) -> Bool {
    unsafe references[index]._withUnsafeGuaranteedRef { $0.isValid }
  }

  @inline(__always)
  func key(_ index: Int) -> ByteView {
    unsafe references[index]._withUnsafeGuaranteedRef { $0.key }
  }

  @inline(__always)
  func tag(_ index: Int) -> Tag {
    unsafe references[index]._withUnsafeGuaranteedRef { $0.tag }
  }

  @inline(__always)
  func value(_ index: Int) -> ByteView {
    unsafe references[index]._withUnsafeGuaranteedRef { $0.value }
  }

  /// Moves a cursor to the following or to the preceding entry.
  @inline(__always)
  func move(_ index: Int, forward: Bool) throws(StoreError) {
    var failure: StoreError?
    unsafe references[index]._withUnsafeGuaranteedRef { cursor in
      do throws(StoreError) {
        if forward { try cursor.next() } else { try cursor.previous() }
      } catch { failure = error }
    }
    if let failure { throw failure }
  }
}
