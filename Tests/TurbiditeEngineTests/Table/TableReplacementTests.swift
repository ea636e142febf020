import Testing

@testable import TurbiditeEngine

/// What a table says of others comes back as it was written, and damage to it is found.
@Suite("Table replacement")
struct TableReplacementTests {
  private static let replacement = TableReplacement(
    group: 40, ordinal: 2, isLast: true, inputs: [3, 4, 300], gone: [1, 20])

  private static let properties = {
    var properties = TableProperties()
    (properties.entryCount, properties.dataBlockCount) = (3, 1)
    (properties.smallestSequence, properties.largestSequence) = (1, 9)
    (properties.smallestKey, properties.largestKey) = ([1], [2])
    return properties
  }()

  /// Decodes the properties of a table with these bytes behind its bounds.
  private func decode(_ bytes: [UInt8]) throws(DecodingFailure) -> TableProperties {
    try (Self.properties.payload() + bytes).withView { payload throws(DecodingFailure) in
      try TableProperties.decode(payload, optionalFeatures: TableFormat.replacementFeature)
    }
  }

  private func failure(_ bytes: [UInt8]) -> String? {
    do throws(DecodingFailure) { _ = try decode(bytes) } catch { return error.finding }
    return nil
  }

  private static let encoded = {
    var bytes: [UInt8] = []
    replacement.append(to: &bytes)
    return bytes
  }()

  @Test("what is written is read again, with lists and without")
  func roundTrip() throws {
    var properties = Self.properties
    for inputs in [[], [3, 4, 300]] as [[UInt64]] {
      for gone in [[], [1, 20]] as [[UInt64]] {
        properties.replacement = TableReplacement(
          group: 40, ordinal: 0, isLast: inputs.isEmpty, inputs: inputs, gone: gone)
        let bytes = Array(properties.payload().dropFirst(Self.properties.payload().count))
        #expect(try decode(bytes) == properties)
      }
    }
  }

  @Test("the fields are the bytes that the format says")
  func bytes() {
    #expect(Self.encoded == [40, 2, 1, 3, 3, 1, 0xa8, 2, 2, 1, 19])
  }

  @Test("it is cut nowhere without a finding, and nothing follows it")
  func cut() {
    for count in 0..<Self.encoded.count {
      #expect(failure(Array(Self.encoded[..<count])) != nil, "\(count) bytes")
    }
    #expect(failure(Self.encoded) == nil)
    #expect(failure(Self.encoded + [0]) != nil)
  }

  @Test("damaged fields are found")
  func damaged() {
    // The flag is neither 0 nor 1.
    #expect(failure([40, 2, 2, 0, 0])?.contains("flag 2") == true)
    // Numbers that do not ascend: the same one twice, and a first one of 0.
    #expect(failure([40, 2, 1, 2, 3, 0, 0])?.contains("ascend") == true)
    #expect(failure([40, 2, 1, 0, 1, 0])?.contains("ascend") == true)
    // Their sum is beyond 64 bits.
    let most = [UInt8](repeating: 0xff, count: 9) + [1]
    #expect(failure([40, 2, 1, 2] + most + [1, 0])?.contains("ascend") == true)
    // More numbers than bytes, by one and by far: nothing is allocated for them.
    #expect(failure([40, 2, 1, 3, 1, 1]) != nil)
    #expect(failure([40, 2, 1] + most + [1, 1]) != nil)
    #expect(failure([40, 2, 1, 0] + most) != nil)
  }
}
