// PartitioningTests — what a key's partition part is, and when a range lies within one.

import Testing

@testable import TurbiditeEngine

@Suite("Partitioning")
struct PartitioningTests {
  static let all: [Partitioning] = [
    .wholeKey, .firstBytes(1), .firstBytes(2), .firstBytes(3), .upTo(delimiter: 0x2f),
    .upTo(delimiter: 0xff), .upTo(delimiter: 0),
  ]

  /// Every string of up to four bytes out of a few that matter.
  static let strings: [[UInt8]] = {
    var strings: [[UInt8]] = [[]]
    var last: [[UInt8]] = [[]]
    for _ in 0..<4 {
      last = last.flatMap { string in [0, 0x2f, 0x30, 0xff].map { string + [$0] } }
      strings += last
    }
    return strings
  }()

  static func part(_ partitioning: Partitioning, _ key: [UInt8]) -> [UInt8] {
    key.withView { partitioning.part(of: $0).bytes() }
  }

  @Test("the part ends before the delimiter, or after so many bytes, or with the key")
  func parts() {
    let key = Array("user/17/name".utf8)
    #expect(Self.part(.wholeKey, key) == key)
    #expect(Self.part(.upTo(delimiter: 0x2f), key) == Array("user".utf8))
    #expect(Self.part(.upTo(delimiter: 0x2f), Array("user".utf8)) == Array("user".utf8))
    #expect(Self.part(.upTo(delimiter: 0x2f), Array("/x".utf8)) == [])
    #expect(Self.part(.firstBytes(6), key) == Array("user/1".utf8))
    #expect(Self.part(.firstBytes(20), key) == key)
  }

  @Test("all keys of a range that is said to lie within a part have it", arguments: all)
  func ranges(_ partitioning: Partitioning) {
    let keys = Self.strings.filter { !$0.isEmpty }.sorted { $0.lexicographicallyPrecedes($1) }
    let parts = keys.map { Self.part(partitioning, $0) }
    var found = 0
    for from in Self.strings where from.count < 4 {
      for to in Self.strings where to.count < 4 && from.lexicographicallyPrecedes(to) {
        guard let shared = partitioning.sharedPart(from: from, to: to) else { continue }
        found += 1
        for (key, part) in zip(keys, parts)
        where !key.lexicographicallyPrecedes(from) && key.lexicographicallyPrecedes(to) {
          #expect(part == shared, "\(key) in \(from)..<\(to)")
        }
      }
    }
    #expect((found > 0) == (partitioning != .wholeKey))
  }

  @Test("everything under a prefix with its delimiter lies within one part")
  func prefixes() {
    let partitioning = Partitioning.upTo(delimiter: 0x2f)
    #expect(
      partitioning.sharedPart(from: Array("user/".utf8), to: Array("user0".utf8))
        == Array("user".utf8))
    #expect(partitioning.sharedPart(from: Array("user".utf8), to: Array("uses".utf8)) == nil)
    #expect(partitioning.sharedPart(from: Array("user/".utf8), to: nil) == nil)
    #expect(
      Partitioning.firstBytes(2).sharedPart(from: [1, 0xff], to: [2]) == [1, 0xff])
    #expect(Partitioning.firstBytes(2).sharedPart(from: [0xff, 0xff], to: nil) == nil)
  }

  @Test("it comes back from the manifest, and what is no partitioning is refused", arguments: all)
  func manifest(_ partitioning: Partitioning) throws {
    var edit = VersionEdit()
    edit.nextKeyspaceID = 3
    edit.createdKeyspaces = [
      .init(id: 1, description: .init(name: "one", kind: .map(partitioning))),
      .init(id: 2, description: .init(name: "two")),
    ]
    let bytes = edit.encoded()
    let back = try bytes.withView { try VersionEdit(decoding: $0) }
    #expect(back == edit)
    var state = ManifestState()
    try state.apply(edit)
    #expect(state.keyspaces[1]?.kind.partitioning == partitioning)
    #expect(state.snapshot().createdKeyspaces == edit.createdKeyspaces)
    // One field, whose last bytes are what is tried.
    func decode(_ tail: [UInt8]) throws {
      let payload: [UInt8] = [1, 1, 0x61] + tail
      let bytes: [UInt8] = [7, UInt8(payload.count)] + payload
      _ = try bytes.withView { try VersionEdit(decoding: $0) }
    }
    try decode([])
    try decode([1, 0x2f])
    try decode([2, 0x80, 0x80, 0x04])
    try decode([3, 1])
    for tail: [UInt8] in [
      [0], [1], [2], [2, 0], [2, 0x81, 0x80, 0x04], [1, 1, 1], [3], [3, 0], [3, 0x81, 0x80, 0x04],
      [4, 1],
    ] {
      #expect(throws: DecodingFailure.self, "\(tail)") { try decode(tail) }
    }
  }
}
