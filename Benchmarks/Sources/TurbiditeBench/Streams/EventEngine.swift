// EventEngine — what the comparison of streams asks of a log of events, ours and others'.
//
// Room:    Benchmarks.

import Glibc

/// When an append counts as done.
enum Sync: String, CaseIterable, Sendable {
  /// The system has it, or will soon.
  case buffered
  /// The disk has it.
  case synced
}

/// A log of events, empty at first.
protocol EventEngine: AnyObject, Sendable {
  /// For one thread.
  func writer() throws -> any EventWriter
  /// For one thread; begins at the end.
  func tail() throws -> any EventReader
  /// How many events there are.
  func eventCount() throws -> Int
  func close() throws
}

protocol EventWriter: AnyObject {
  /// Appends `count` events, of which `event` gives each; returns when all are acknowledged.
  func append(_ count: Int, _ event: (Int) -> Lent) throws
}

protocol EventReader: AnyObject {
  /// Calls `body` with each event that has come since, at least one.
  func read(_ body: (Lent) -> Void) throws
}

/// An engine that the comparison knows by name.
struct EventEngineKind: Sendable {
  var name: String
  var syncs: [Sync]
  var aptPackages = ""
  /// The program that is started.
  var server: String?
  /// Nil when its client was missing when this was built.
  var open: (@Sendable (_ directory: String, _ sync: Sync) throws -> any EventEngine)?

  /// Whether it can be run.
  var isThere: Bool {
    guard open != nil else { return false }
    guard let server else { return true }
    let path = getenv("PATH").map { String(cString: $0) } ?? ""
    return path.split(separator: ":").contains { access("\($0)/\(server)", X_OK) == 0 }
  }

  static let all: [EventEngineKind] = {
    var ours = EventEngineKind(name: "Turbidite", syncs: Sync.allCases)
    ours.open = { try TurbiditeEvents(directory: $0, sync: $1) }
    var redis = EventEngineKind(
      name: "Redis", syncs: Sync.allCases, aptPackages: "libhiredis-dev redis-server",
      server: "redis-server")
    #if PEER_REDIS
    redis.open = { try RedisEvents(directory: $0, sync: $1) }
    #endif
    // This version cannot sync before it acknowledges.
    var nats = EventEngineKind(
      name: "NATS", syncs: [.buffered], aptPackages: "libnats-dev nats-server",
      server: "nats-server")
    #if PEER_NATS
    nats.open = { directory, _ in try NATSEvents(directory: directory) }
    #endif
    return [ours, redis, nats]
  }()
}

/// A server in a process of its own, on a port of the loopback interface.
///
/// Safe to share: nothing changes after it was made.
final class Server: @unchecked Sendable {
  private let process: pid_t
  let port: Int32

  /// Starts a program, with the port in the place of `PORT` among its arguments, and waits until it
  /// listens.
  init(_ arguments: [String]) throws {
    let port = try Server.freePort()
    var pointers = arguments.map { strdup($0 == "PORT" ? "\(port)" : $0) } + [nil]
    defer { for pointer in pointers { free(pointer) } }
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    for descriptor in [STDOUT_FILENO, STDERR_FILENO] {
      posix_spawn_file_actions_addopen(&actions, descriptor, "/dev/null", O_WRONLY, 0)
    }
    var child: pid_t = 0
    let code = posix_spawnp(&child, arguments[0], &actions, nil, &pointers, environ)
    guard code == 0 else { throw Stop("cannot start \(arguments[0]): errno \(code)") }
    process = child
    self.port = port
    for _ in 0..<200 {
      if try Server.connects(to: port) { return }
      usleep(50_000)
    }
    stop()
    throw Stop("\(arguments[0]) does not listen on port \(port)")
  }

  /// Ends it, without waiting for what it would still like to write.
  func stop() {
    kill(process, SIGKILL)
    while waitpid(process, nil, 0) < 0 && errno == EINTR {}
  }

  private static func withSocket<Result>(
    _ port: Int32, _ body: (Int32, UnsafeMutablePointer<sockaddr>, socklen_t) throws -> Result
  ) throws -> Result {
    let handle = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    guard handle >= 0 else { throw Stop("socket: errno \(errno)") }
    defer { close(handle) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = in_port_t(port).bigEndian
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    return try withUnsafeMutablePointer(to: &address) { address in
      try address.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        try body(handle, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
  }

  private static func connects(to port: Int32) throws -> Bool {
    try withSocket(port) { connect($0, $1, $2) == 0 }
  }

  private static func freePort() throws -> Int32 {
    try withSocket(0) { handle, address, size in
      var size = size
      guard bind(handle, address, size) == 0, getsockname(handle, address, &size) == 0 else {
        throw Stop("cannot find a free port: errno \(errno)")
      }
      return address.withMemoryRebound(to: sockaddr_in.self, capacity: 1) {
        Int32(UInt16(bigEndian: $0.pointee.sin_port))
      }
    }
  }
}
