// EventLine — a line an event, for people, for cut(1) and for jq(1).
//
// Room:    Tools/TurbiditeCLI.

import Turbidite

/// Events as lines.
enum EventLine {
  /// What key and value of an event may take together: what a value may, less what is kept beside
  /// them.
  static let largestByteCount = RecordLimits.valueByteCount - 128

  /// Appends partition, offset, time, key and value with tabs between them; an event without a key
  /// has an empty one.
  static func append(_ event: Event, encoding: Encoding, to text: inout [UInt8]) {
    text.append(contentsOf: "\(event.position.partition)\t\(event.position.offset)\t".utf8)
    text.append(contentsOf: Moment.text(microseconds: event.timestamp).utf8)
    text.append(0x09)
    if let key = event.key { encoding.append(key.array, to: &text) }
    text.append(0x09)
    encoding.append(event.value.array, to: &text)
    text.append(0x0a)
  }

  /// Appends a JSON object: `partition`, `offset`, `timestamp` in microseconds since 1970-01-01
  /// UTC, `key` where there is one, `value`, and `headers` where there are some.
  static func appendObject(_ event: Event, alwaysBase64: Bool, to text: inout [UInt8]) {
    var writer = JSONWriter()
    writer.object { json in
      json.member("partition", event.position.partition)
      json.member("offset", event.position.offset)
      json.member("timestamp", event.timestamp)
      if let key = event.key { json.bytes("key", key.array, alwaysBase64: alwaysBase64) }
      json.bytes("value", event.value.array, alwaysBase64: alwaysBase64)
      if !event.headers.isEmpty {
        json.array("headers") { json in
          for header in event.headers {
            json.object { json in
              json.bytes("name", header.name.array, alwaysBase64: alwaysBase64)
              json.bytes("value", header.value.array, alwaysBase64: alwaysBase64)
            }
          }
        }
      }
    }
    text.append(contentsOf: writer.text)
    text.append(0x0a)
  }
}
