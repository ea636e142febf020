// Acknowledgement — what a child says of itself, sixteen bytes a sentence.
//
// Room:    Tools/Torture.
// Limits:  A pipe takes so few bytes in one piece (POSIX.1-2017, PIPE_BUF), so that the sentences
//          of several threads never mix and a kill leaves whole ones.

/// One sentence of a child: a mark, a lane and a number.
package struct Acknowledgement: Sendable, Hashable {
  /// What is said.
  package enum Kind: String, Sendable, CaseIterable {
    /// The child lives; the number is its process.
    case born = "BORN"
    /// The store is open.
    case opened = "OPEN"
    /// A buffered commit of the lane returned; the number is its batch.
    case buffered = "BUFF"
    /// A synced commit of the lane returned.
    case synced = "SYNC"
    /// Something that made all earlier batches of the lane durable returned.
    case covered = "COVR"
  }

  package static let byteCount = 16

  package var kind: Kind
  package var lane: Int
  package var number: Int

  package init(_ kind: Kind, lane: Int = 0, number: Int = 0) {
    self.kind = kind
    self.lane = lane
    self.number = number
  }

  /// Reads the sentence in sixteen bytes.
  package init(bytes: ArraySlice<UInt8>) throws(TortureFailure) {
    let mark = String(decoding: bytes.prefix(4), as: UTF8.self)
    guard bytes.count == Self.byteCount, let kind = Kind(rawValue: mark) else {
      throw TortureFailure("a child said \(Array(bytes))")
    }
    let lane = bytes.dropFirst(4).prefix(4).reversed().reduce(0) { $0 << 8 | UInt64($1) }
    let number = bytes.dropFirst(8).reversed().reduce(0) { $0 << 8 | UInt64($1) }
    guard lane < Workload.laneCount, let number = Int(exactly: number) else {
      throw TortureFailure("a child spoke of lane \(lane), batch \(number)")
    }
    self.init(kind, lane: Int(lane), number: number)
  }

  /// The sixteen bytes of the sentence.
  package var bytes: [UInt8] {
    var bytes = Array(kind.rawValue.utf8)
    for shift in stride(from: 0, to: 32, by: 8) {
      bytes.append(UInt8(truncatingIfNeeded: lane >> shift))
    }
    for shift in stride(from: 0, to: 64, by: 8) {
      bytes.append(UInt8(truncatingIfNeeded: number >> shift))
    }
    return bytes
  }

  /// Reads all the sentences in `bytes`.
  package static func list(in bytes: [UInt8]) throws(TortureFailure) -> [Acknowledgement] {
    try require(
      bytes.count % byteCount == 0, "\(bytes.count) bytes came, which are no whole sentences")
    var list: [Acknowledgement] = []
    for start in stride(from: 0, to: bytes.count, by: byteCount) {
      list.append(try Acknowledgement(bytes: bytes[start..<(start + byteCount)]))
    }
    return list
  }
}
