// RedisEvents — a Redis stream, through the C client hiredis.
//
// Room:    Benchmarks.

#if PEER_REDIS
import CHiredis
import Glibc

final class RedisEvents: EventEngine {
  private let server: Server

  init(directory: String, sync: Sync) throws {
    server = try Server([
      "redis-server", "--port", "PORT", "--bind", "127.0.0.1", "--dir", directory, "--save", "",
      "--appendonly", "yes", "--appendfsync", sync == .synced ? "always" : "everysec",
      "--daemonize", "no",
    ])
  }

  func writer() throws -> any EventWriter { try Writer(RedisConnection(server.port)) }

  func tail() throws -> any EventReader { try Reader(RedisConnection(server.port)) }

  func eventCount() throws -> Int {
    let connection = try RedisConnection(server.port)
    try connection.send(["XLEN", "events"])
    return Int(try connection.reply { $0.integer })
  }

  func close() throws { server.stop() }

  private final class Writer: EventWriter {
    private let connection: RedisConnection

    init(_ connection: RedisConnection) { self.connection = connection }

    func append(_ count: Int, _ event: (Int) -> Lent) throws {
      for index in 0..<count { try connection.send(["XADD", "events", "*", "v"], event(index)) }
      for _ in 0..<count { try connection.reply { _ in } }
    }
  }

  private final class Reader: EventReader {
    private let connection: RedisConnection
    private var last = "$"

    init(_ connection: RedisConnection) { self.connection = connection }

    func read(_ body: (Lent) -> Void) throws {
      try connection.send(["XREAD", "BLOCK", "0", "STREAMS", "events", last])
      try connection.reply { reply in
        // One stream: its name, and its entries, each an id and a list of names and values.
        let entries = reply.element![0]!.pointee.element![1]!.pointee
        for index in 0..<entries.elements {
          let entry = entries.element![index]!.pointee
          let value = entry.element![1]!.pointee.element![1]!.pointee
          body(Lent(start: value.str, count: value.len))
          last = String(cString: entry.element![0]!.pointee.str)
        }
      }
    }
  }
}

/// One connection, for one thread.
private final class RedisConnection {
  private let context: UnsafeMutablePointer<redisContext>

  init(_ port: Int32) throws {
    guard let context = redisConnect("127.0.0.1", port), context.pointee.err == 0 else {
      throw Stop("Redis: no connection to port \(port)")
    }
    self.context = context
  }

  deinit { redisFree(context) }

  /// Queues a command.
  func send(_ words: [String], _ last: Lent? = nil) throws {
    var sizes = words.map(\.utf8.count)
    let bytes = words.flatMap(\.utf8)
    let code = bytes.withUnsafeBytes { bytes in
      let start = bytes.baseAddress?.assumingMemoryBound(to: CChar.self)
      var offset = 0
      var pointers = sizes.map { size -> UnsafePointer<CChar>? in
        defer { offset += size }
        return start.map { $0 + offset }
      }
      if let last {
        pointers.append(last.baseAddress?.assumingMemoryBound(to: CChar.self))
        sizes.append(last.count)
      }
      return redisAppendCommandArgv(context, Int32(pointers.count), &pointers, sizes)
    }
    guard code == 0 else { throw Stop("Redis: a command was not taken") }
  }

  /// Sends what is queued, and gives the next reply.
  func reply<Result>(_ body: (redisReply) -> Result) throws -> Result {
    var raw: UnsafeMutableRawPointer?
    guard redisGetReply(context, &raw) == 0, let raw else {
      throw Stop("Redis: no reply, error \(context.pointee.err)")
    }
    defer { freeReplyObject(raw) }
    let reply = raw.assumingMemoryBound(to: redisReply.self).pointee
    guard reply.type != 6 else { throw Stop("Redis: \(String(cString: reply.str))") }
    return body(reply)
  }
}
#endif
