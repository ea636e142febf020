// GroupShares — which member of a group reads which partitions.
//
// Room:    Turbidite/Streams. Knows numbers only.
// Source:  Cooperative, sticky assignment: Kafka's KIP-429. A partition changes hands only when the
//          one who has it asks for more, or has gone.

/// The shares of one group's members in a stream's partitions.
///
/// Invariants:
/// 1. A partition has one owner at most; only the owner moves the group's cursor in it.
/// 2. An owner stays until no commit that moves the cursor is on its way.
/// 3. Shares differ by one at most, once every member has asked for more.
struct GroupShares: Sendable {
  /// In the order in which they joined.
  private var members: [UInt64] = []
  /// Who reads a partition; those who left keep it until their commits have ended.
  private var owners: [UInt64?]
  /// Who should read it.
  private var heirs: [UInt64?]
  /// The commits on their way that move the cursor.
  private var commitCounts: [Int]
  /// How often a partition has got an owner: a batch of one that lost it meanwhile is refused, even
  /// if it has it again.
  private var terms: [UInt64]

  init(partitionCount: Int) {
    owners = Array(repeating: nil, count: partitionCount)
    heirs = owners
    commitCounts = Array(repeating: 0, count: partitionCount)
    terms = Array(repeating: 0, count: partitionCount)
  }

  var isDeserted: Bool { members.isEmpty && owners.allSatisfy { $0 == nil } }

  mutating func join(_ member: UInt64) {
    members.append(member)
    share()
  }

  mutating func leave(_ member: UInt64) {
    members.removeAll { $0 == member }
    for partition in owners.indices { releaseIfDone(partition, by: member) }
    share()
  }

  /// What `member` reads from now on; it is done with all that it was given before.
  ///
  /// - Returns: its partitions, and whether it gave back any.
  mutating func settle(_ member: UInt64) -> (partitions: [Int], gaveBack: Bool) {
    var gaveBack = false
    for partition in owners.indices where heirs[partition] != member {
      if releaseIfDone(partition, by: member) { gaveBack = true }
    }
    for partition in owners.indices where owners[partition] == nil {
      guard heirs[partition] == member else { continue }
      owners[partition] = member
      terms[partition] += 1
    }
    return (owners.indices.filter { owners[$0] == member }, gaveBack)
  }

  /// Which ownership of the partition is the member's; nil where none is.
  func term(of partition: Int, _ member: UInt64) -> UInt64? {
    owners[partition] == member ? terms[partition] : nil
  }

  /// Begins a commit of `member` that moves the cursor in partitions of these terms; false where it
  /// may not.
  mutating func beginCommit(_ member: UInt64, _ moved: [Int: UInt64?]) -> Bool {
    guard members.contains(member),
      moved.allSatisfy({ owners[$0] == member && terms[$0] == $1 })
    else { return false }
    for partition in moved.keys { commitCounts[partition] += 1 }
    return true
  }

  /// Ends a commit that was begun.
  ///
  /// - Returns: whether a partition waited for that.
  mutating func endCommit(_ member: UInt64, _ partitions: some Sequence<Int>) -> Bool {
    var isAwaited = false
    for partition in partitions {
      commitCounts[partition] -= 1
      assert(commitCounts[partition] >= 0)
      guard heirs[partition] != member else { continue }
      isAwaited = true
      if !members.contains(member) { releaseIfDone(partition, by: member) }
    }
    return isAwaited
  }

  @discardableResult
  private mutating func releaseIfDone(_ partition: Int, by member: UInt64) -> Bool {
    guard owners[partition] == member, commitCounts[partition] == 0 else { return false }
    owners[partition] = nil
    return true
  }

  /// Gives each member its share, and leaves it what it has of that.
  private mutating func share() {
    guard !members.isEmpty else {
      heirs = Array(repeating: nil, count: heirs.count)
      return
    }
    let (base, extra) = heirs.count.quotientAndRemainder(dividingBy: members.count)
    var room: [UInt64: Int] = [:]
    for member in members { room[member] = base }
    var held: [UInt64: Int] = [:]
    for case let owner? in zip(owners, heirs).map({ $0 ?? $1 }) { held[owner, default: 0] += 1 }
    // One more for those who hold more, so that little moves.
    let greedy = members.filter { held[$0] ?? 0 > base }
    let others = members.filter { held[$0] ?? 0 <= base }
    for member in (greedy + others).prefix(extra) { room[member, default: 0] += 1 }
    // First those who read a partition: one that nobody reads can go to a newcomer at once.
    var taken: Set<Int> = []
    for candidates in [owners, heirs] {
      for partition in heirs.indices where !taken.contains(partition) {
        guard let candidate = candidates[partition], let left = room[candidate], left > 0,
          owners[partition] == nil || owners[partition] == candidate
        else { continue }
        heirs[partition] = candidate
        room[candidate] = left - 1
        taken.insert(partition)
      }
    }
    for partition in heirs.indices where !taken.contains(partition) { heirs[partition] = nil }
    var next = 0
    for partition in heirs.indices where heirs[partition] == nil {
      while room[members[next]] == 0 { next += 1 }
      heirs[partition] = members[next]
      room[members[next], default: 0] -= 1
    }
  }
}
