// MergingCursor — many sorted sources as one.
//
// Room:    Engine/Compaction.
// Source:  Tournament tree of losers: Knuth, The Art of Computer Programming, volume 3, section
//          5.4.1. Measured in a prototype here: 27 to 37 ns an entry for eight sources.

/// Merges cursors in internal key order.
///
/// Entries with equal keys and tags come from the source with the smaller index first; they arise
/// only when a log segment and its rewritten copy were both replayed into tables.
///
/// Invariants:
/// 1. Going forward, every valid source stands at or behind the current entry; going backward, at
///    or before it.
/// 2. `loser(0)` is the index of the winning source; the other nodes hold the loser of their
///    match.
final class MergingCursor: EntryCursor {
  private let sources: CursorList
  /// For each source the first eight key bytes of its entry, which decide most matches alone;
  /// behind them the losers, and room to build the tournament in.
  ///
  /// In a buffer, because an array that a class holds is checked at each change for exclusive
  /// access, and for being the only reference.
  private let columns: OwnedBuffer
  private var isForward = true

  init(_ sources: [EntryCursor]) throws(StoreError) {
    precondition(!sources.isEmpty)
    self.sources = CursorList(sources)
    columns = try OwnedBuffer.allocate(32 * sources.count, for: "a merge")
    columns.clear()
  }

  override func seekToFirst() throws(StoreError) {
    isValid = false
    for source in sources.cursors { try source.seekToFirst() }
    isForward = true
    rebuild()
  }

  override func seekToLast() throws(StoreError) {
    isValid = false
    for source in sources.cursors { try source.seekToLast() }
    isForward = false
    rebuild()
  }

  override func seek(_ target: ByteView, _ tag: Tag) throws(StoreError) {
    isValid = false
    for source in sources.cursors { try source.seek(target, tag) }
    isForward = true
    rebuild()
  }

  override func seekBefore(_ target: ByteView, _ tag: Tag) throws(StoreError) {
    isValid = false
    for source in sources.cursors { try source.seekBefore(target, tag) }
    isForward = false
    rebuild()
  }

  override func next() throws(StoreError) {
    precondition(isValid)
    if !isForward { try turn(forward: true) }
    isValid = false
    let winner = loser(0)
    try sources.move(winner, forward: true)
    replay(winner)
  }

  override func previous() throws(StoreError) {
    precondition(isValid)
    if isForward { try turn(forward: false) }
    isValid = false
    let winner = loser(0)
    try sources.move(winner, forward: false)
    replay(winner)
  }

  /// Moves every source but the current one to the other side of the current entry.
  private func turn(forward: Bool) throws(StoreError) {
    let winner = loser(0)
    // The views die as sources move, unless their own source stays: the winner's does.
    let (key, tag) = (self.key, self.tag)
    isValid = false
    for (index, source) in sources.cursors.enumerated() where index != winner {
      if forward {
        try source.seek(key, tag)
      } else {
        try source.seekBefore(key, tag)
      }
    }
    isForward = forward
    rebuild()
    assert(loser(0) == winner || sources.tag(loser(0)) == tag)
  }

  // MARK: - The tournament

  @inline(__always)
  private func prefix(_ index: Int) -> UInt64 { columns.view.load(8 &* index, as: UInt64.self) }

  @inline(__always)
  private func loser(_ node: Int) -> Int {
    Int(columns.view.load(8 &* (sources.count &+ node), as: UInt64.self))
  }

  @inline(__always)
  private func setLoser(_ node: Int, _ index: Int) {
    columns.store(UInt64(index), at: 8 &* (sources.count &+ node))
  }

  @inline(__always)
  private func notePrefix(_ index: Int) {
    if sources.isValid(index) { columns.store(sources.key(index).prefix(), at: 8 &* index) }
  }

  /// Whether source `one` comes before source `other` in the direction of travel.
  @inline(__always)
  private func wins(_ one: Int, over other: Int) -> Bool {
    if !sources.isValid(one) { return false }
    if !sources.isValid(other) { return true }
    let (mine, theirs) = (prefix(one), prefix(other))
    if mine != theirs { return (mine < theirs) == isForward }
    let order = compareInternal(
      sources.key(one), sources.tag(one), sources.key(other), sources.tag(other))
    if order != 0 { return (order < 0) == isForward }
    return (one < other) == isForward
  }

  private func rebuild() {
    let count = sources.count
    for index in 0..<count { notePrefix(index) }
    // Leaves are nodes count..<2*count; the winner of each inner node moves up.
    for index in 0..<count { setWinner(count &+ index, index) }
    var node = count &- 1
    while node > 0 {
      let (left, right) = (winner(2 &* node), winner(2 &* node &+ 1))
      let leftWins = wins(left, over: right)
      setWinner(node, leftWins ? left : right)
      setLoser(node, leftWins ? right : left)
      node &-= 1
    }
    setLoser(0, winner(1))
    publish()
  }

  @inline(__always)
  private func winner(_ node: Int) -> Int {
    Int(columns.view.load(8 &* (2 &* sources.count &+ node), as: UInt64.self))
  }

  @inline(__always)
  private func setWinner(_ node: Int, _ index: Int) {
    columns.store(UInt64(index), at: 8 &* (2 &* sources.count &+ node))
  }

  /// Plays the matches of one source again after it moved.
  @inline(__always)
  private func replay(_ index: Int) {
    notePrefix(index)
    var winner = index
    var node = (index + sources.count) / 2
    while node > 0 {
      let rival = loser(node)
      if wins(rival, over: winner) {
        setLoser(node, winner)
        winner = rival
      }
      node /= 2
    }
    setLoser(0, winner)
    publish()
  }

  @inline(__always)
  private func publish() {
    let winner = loser(0)
    isValid = sources.isValid(winner)
    guard isValid else { return }
    key = sources.key(winner)
    tag = sources.tag(winner)
    value = sources.value(winner)
  }
}
