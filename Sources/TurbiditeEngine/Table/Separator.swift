// Separator — a short key between two neighbours.
//
// Room:    Engine/Table.
// Source:  LevelDB's FindShortestSeparator (util/comparator.cc) for the idea; here the result is
//          the shortest possible.

/// Appends to `target` the shortest key that is at or after `last` and before `next`.
///
/// - Precondition: `last < next`.
func appendSeparator(_ last: ByteView, before next: ByteView, to target: inout [UInt8]) {
  let shared = last.sharedPrefixCount(next)
  // A proper prefix of `last` is before it, and all that lies between begins with the shared bytes:
  // when these are all of `last`, it is the shortest itself. So it is one byte further on.
  guard shared + 1 < last.count else { return target.append(last) }
  assert(last[shared] < next[shared])
  if next.count > shared + 1 {
    // All of `next` up to the byte that differs: after `last` there, and a proper prefix.
    return target.append(next.slice(0, shared + 1))
  }
  if last[shared] + 1 < next[shared] {
    target.append(last.slice(0, shared))
    return target.append(planted(.separatorTooSmall) ? last[shared] : last[shared] + 1)
  }
  // The key must begin as `last` does beyond the shared bytes: raise its first byte that can be.
  for position in (shared + 1)..<last.count where last[position] != 0xff {
    target.append(last.slice(0, position))
    // At the last byte, `last` itself is as short.
    return target.append(position == last.count - 1 ? last[position] : last[position] + 1)
  }
  target.append(last)
}
