// NATSEvents — a stream of NATS JetStream in files, through its C client.
//
// Room:    Benchmarks.

#if PEER_NATS
import CNats
import Glibc

private func check(_ verb: String, _ status: natsStatus) throws {
  guard status == NATS_OK else {
    throw Stop("NATS: \(verb): \(natsStatus_GetText(status).map { String(cString: $0) } ?? "?")")
  }
}

final class NATSEvents: EventEngine {
  private let server: Server

  init(directory: String) throws {
    server = try Server([
      "nats-server", "--jetstream", "--store_dir", directory, "--addr", "127.0.0.1", "--port",
      "PORT",
    ])
    let connection = try NATSConnection(server.port)
    var configuration = jsStreamConfig()
    try check("configure", jsStreamConfig_Init(&configuration))
    try "events".withCString { name in
      var subjects: [UnsafePointer<CChar>?] = [name]
      try subjects.withUnsafeMutableBufferPointer { subjects in
        configuration.Name = name
        configuration.Subjects = subjects.baseAddress
        configuration.SubjectsLen = 1
        configuration.Storage = js_FileStorage
        try check("add a stream", js_AddStream(nil, connection.context, &configuration, nil, nil))
      }
    }
  }

  func writer() throws -> any EventWriter { try Writer(NATSConnection(server.port)) }

  func tail() throws -> any EventReader { try Reader(NATSConnection(server.port)) }

  func eventCount() throws -> Int {
    let connection = try NATSConnection(server.port)
    var information: UnsafeMutablePointer<jsStreamInfo>?
    try check("ask", js_GetStreamInfo(&information, connection.context, "events", nil, nil))
    defer { jsStreamInfo_Destroy(information) }
    return Int(information?.pointee.State.Msgs ?? 0)
  }

  func close() throws { server.stop() }

  private final class Writer: EventWriter {
    private let connection: NATSConnection

    init(_ connection: NATSConnection) { self.connection = connection }

    func append(_ count: Int, _ event: (Int) -> Lent) throws {
      let context = connection.context
      if count == 1 {
        let event = event(0)
        return try check(
          "publish",
          js_Publish(nil, context, "events", event.baseAddress, Int32(event.count), nil, nil))
      }
      for index in 0..<count {
        let event = event(index)
        try check(
          "publish",
          js_PublishAsync(context, "events", event.baseAddress, Int32(event.count), nil))
      }
      try check("publish", js_PublishAsyncComplete(context, nil))
    }
  }

  private final class Reader: EventReader {
    private let connection: NATSConnection
    private var subscription: OpaquePointer?

    init(_ connection: NATSConnection) throws {
      self.connection = connection
      var options = jsSubOptions()
      try check("configure", jsSubOptions_Init(&options))
      options.Config.AckPolicy = js_AckNone
      options.Config.DeliverPolicy = js_DeliverNew
      try check(
        "subscribe",
        js_SubscribeSync(&subscription, connection.context, "events", nil, &options, nil))
    }

    deinit { natsSubscription_Destroy(subscription) }

    func read(_ body: (Lent) -> Void) throws {
      var message: OpaquePointer?
      try check("read", natsSubscription_NextMsg(&message, subscription, 10_000))
      defer { natsMsg_Destroy(message) }
      body(
        Lent(start: natsMsg_GetData(message), count: Int(natsMsg_GetDataLength(message))))
    }
  }
}

/// One connection, for one thread.
private final class NATSConnection {
  private var connection: OpaquePointer?
  private(set) var context: OpaquePointer?

  init(_ port: Int32) throws {
    try check("connect", natsConnection_ConnectTo(&connection, "nats://127.0.0.1:\(port)"))
    try check("connect", natsConnection_JetStream(&context, connection, nil))
  }

  deinit {
    jsCtx_Destroy(context)
    natsConnection_Destroy(connection)
  }
}
#endif
