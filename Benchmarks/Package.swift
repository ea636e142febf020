// swift-tools-version: 6.2
import Foundation
import PackageDescription

/// Another engine: linked when its header is on this machine, left out otherwise.
struct Peer {
  let name: String
  let module: String
  let header: String
  let aptPackage: String

  /// Tools/bench says in the environment which are there, because SwiftPM remembers an evaluation
  /// of this file for as long as file and environment stay the same; without it we look.
  var isInstalled: Bool {
    if let named = Context.environment["TURBIDITE_PEERS"] {
      return named.split(separator: ",").contains(Substring(name))
    }
    return ["/usr/include", "/usr/local/include"].contains {
      FileManager.default.fileExists(atPath: "\($0)/\(header)")
    }
  }
}

let peers = [
  Peer(
    name: "rocksdb", module: "CRocksDB", header: "rocksdb/c.h", aptPackage: "librocksdb-dev"),
  Peer(
    name: "leveldb", module: "CLevelDB", header: "leveldb/c.h", aptPackage: "libleveldb-dev"),
  Peer(name: "lmdb", module: "CLMDB", header: "lmdb.h", aptPackage: "liblmdb-dev"),
  Peer(
    name: "wiredtiger", module: "CWiredTiger", header: "wiredtiger.h",
    aptPackage: "libwiredtiger-dev"),
  Peer(
    name: "redis", module: "CHiredis", header: "hiredis/hiredis.h", aptPackage: "libhiredis-dev"),
  Peer(name: "nats", module: "CNats", header: "nats/nats.h", aptPackage: "libnats-dev"),
].filter(\.isInstalled)

let settings: [SwiftSetting] = [
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .enableExperimentalFeature("Lifetimes"),
  .treatAllWarnings(as: .error),
]

let package = Package(
  name: "turbidite-benchmarks",
  dependencies: [
    .package(name: "turbidite", path: ".."),
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", from: "0.2.0"),
  ],
  targets: peers.map { peer in
    .systemLibrary(name: peer.module, providers: [.apt([peer.aptPackage])])
  } + [
    .executableTarget(
      name: "turbidite-bench",
      dependencies: [
        .product(name: "Turbidite", package: "turbidite"),
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "Histogram", package: "hdrhistogram-swift"),
      ] + peers.map { .target(name: $0.module) },
      path: "Sources/TurbiditeBench",
      swiftSettings: settings + peers.map { .define("PEER_\($0.name.uppercased())") })
  ],
  swiftLanguageModes: [.v6]
)
