// EventCodingTests — an event comes back as it was, and no bytes trap.

import Testing

@testable import TurbiditeEngine

@Suite("Event coding")
struct EventCodingTests {
  static func drawn(_ random: inout TableTestRandom) -> EventContent {
    EventContent(
      timestamp: Int64(bitPattern: random.next()),
      key: random.below(3) == 0 ? nil : random.bytes(random.below(300)),
      value: random.bytes(random.below(300)),
      headers: (0..<random.below(5)).map { _ in
        .init(name: random.bytes(random.below(9)), value: random.bytes(random.below(200)))
      })
  }

  static func encoded(_ event: EventContent) -> [UInt8] {
    var bytes: [UInt8] = []
    event.value.withView { value in
      (event.key ?? []).withView { key in
        let event = EventBytes(
          timestamp: event.timestamp, key: event.key == nil ? nil : key, value: value,
          headers: event.headers)
        bytes.append(room: event.byteCount + 9) { event.encode(into: &$0) }
        #expect(bytes.count == event.byteCount)
      }
    }
    return bytes
  }

  @Test("random events come back as they were")
  func roundTrip() throws {
    var random = TableTestRandom(1)
    for _ in 0..<2_000 {
      let event = Self.drawn(&random)
      let back = try Self.encoded(event).withView { try EventContent(decoding: $0) }
      #expect(back == event)
    }
  }

  @Test("changed and random bytes give an event or an error, and nothing worse")
  func damage() {
    var random = TableTestRandom(2)
    var refused = 0
    for _ in 0..<10_000 {
      var bytes = Self.encoded(Self.drawn(&random))
      for _ in 0..<(1 + random.below(3)) {
        bytes[random.below(min(bytes.count, 30))] = [0, 1, 0x7f, 0x80, 0xff][random.below(5)]
      }
      if random.below(3) == 0 { bytes.removeLast(random.below(bytes.count)) }
      do { _ = try bytes.withView { try EventContent(decoding: $0) } } catch { refused += 1 }
    }
    #expect(refused > 1_000)
  }

  @Test("keys of a partition ascend with their offsets, and lie before the next partition's")
  func keys() {
    let offsets: [UInt64] = [0, 1, 255, 256, 1 << 32, 1 << 61]
    for partition: UInt32 in [0, 1, 255, 256, 65_535] {
      let keys = offsets.map { StreamKey.bytes(partition: partition, offset: $0) }
      for (one, other) in zip(keys, keys.dropFirst()) {
        #expect(one.lexicographicallyPrecedes(other))
      }
      #expect(keys[5].lexicographicallyPrecedes(StreamKey.end(of: partition)))
      let next = StreamKey.bytes(partition: partition + 1, offset: 0)
      #expect(StreamKey.end(of: partition).lexicographicallyPrecedes(next))
      for (key, offset) in zip(keys, offsets) {
        let read = key.withView { StreamKey.read($0) }
        #expect(read?.partition == partition)
        #expect(read?.offset == offset)
      }
    }
  }

  @Test("the partition of a key never changes")
  func partitions() {
    func partition(_ key: String, _ count: Int) -> UInt32 {
      StreamKey.partition(of: Array(key.utf8).span.rawBytes, count: count)
    }
    // From FORMAT.md.
    #expect(partition("a", 16) == 14)
    #expect(partition("boat/17", 16) == 14)
    #expect(partition("user0001", 16) == 0)
    #expect(partition("user0001", 1) == 0)
  }
}
