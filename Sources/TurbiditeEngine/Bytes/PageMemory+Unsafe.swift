// PageMemory — memory straight from the system, in whole pages.
//
// Room:    Engine/Bytes.
// Limits:  Memory that is given back is the process's no more, at once. Thread-safe.

import Synchronization

#if canImport(Glibc)
import Glibc
#endif

/// Pages for what is large and stays: memtables, cached blocks, the indexes and filters of tables.
///
/// `malloc` has an arena for each of some threads, and keeps in each what others might need: pieces
/// of some ten KiB that one thread asks for and another lets go took up to three times the memory
/// in use (decision 0017).
enum PageMemory {
  /// Pieces below this size come from `malloc`: half a page is lost at the end of each.
  static let smallestByteCount = 16 << 10
  private static let pageByteCount = 4096

  /// So many mappings at once are taken; the system grants a process 65,530, and others need some.
  private static let largestMappingCount = 1 << 14
  private static let mappingCount = Atomic<Int>(0)

  /// A size in whole pages.
  static func rounded(_ byteCount: Int) -> Int {
    (byteCount + pageByteCount - 1) & ~(pageByteCount - 1)
  }

  /// The address of `byteCount` bytes, in whole pages, all zero; nil when there are none, or too
  /// many pieces.
  static func take(_ byteCount: Int) -> UInt? {
    #if TURBIDITE_ADDRESS_SANITIZER
    // The sanitizer knows only what `malloc` hands out.
    return nil
    #else
    assert(byteCount == rounded(byteCount))
    let count = mappingCount.add(1, ordering: .relaxed).newValue
    if count <= largestMappingCount, let address = map(byteCount) { return address }
    mappingCount.subtract(1, ordering: .relaxed)
    return nil
    #endif
  }

  /// Gives back what ``take(_:)`` returned for the same size.
  static func giveBack(_ address: UInt, _ byteCount: Int) {
    unmap(address, byteCount)
    mappingCount.subtract(1, ordering: .relaxed)
  }

  /// The address of so many bytes, aligned to their number, which is a power of two, and advised to
  /// be huge pages; nil when memory is short.
  static func takeAligned(_ byteCount: Int) -> UInt? {
    guard var address = map(byteCount) else { return nil }
    let mask = UInt(byteCount - 1)
    if address & mask != 0 {
      // Seldom: what is mapped by the side of the last one is aligned as that is.
      unmap(address, byteCount)
      guard let start = map(2 * byteCount) else { return nil }
      address = (start + mask) & ~mask
      unmap(start, Int(address - start))
      unmap(address + UInt(byteCount), Int(start + UInt(byteCount) - address))
    }
    // Safe: the advice is for the memory that was mapped above. Advice only: without huge pages
    // everything works, a fifth slower.
    let pointer = unsafe UnsafeMutableRawPointer(bitPattern: address)
    _ = unsafe madvise(pointer, byteCount, MADV_HUGEPAGE)
    return address
  }

  /// Gives back what ``takeAligned(_:)`` returned for the same size.
  static func giveBackAligned(_ address: UInt, _ byteCount: Int) { unmap(address, byteCount) }

  private static func map(_ byteCount: Int) -> UInt? {
    // Safe: asks for new pages; nothing that is mapped changes.
    let start = unsafe mmap(
      nil, byteCount, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    return unsafe start == MAP_FAILED ? nil : UInt(bitPattern: start)
  }

  private static func unmap(_ address: UInt, _ byteCount: Int) {
    guard byteCount > 0 else { return }
    // Safe: the caller is the last to know these pages, which `map` returned.
    let start = unsafe UnsafeMutableRawPointer(bitPattern: address)
    // The system refuses when that would make two mappings of one, and the process may have no
    // more: then the addresses stay, and the memory behind them goes back.
    if unsafe munmap(start, byteCount) != 0 { _ = unsafe madvise(start, byteCount, MADV_DONTNEED) }
  }
}
