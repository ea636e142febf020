// swift-tools-version: 6.2
import PackageDescription

/// Settings of every Swift target that a user links: the strictest the compiler offers.
let strict: [SwiftSetting] = [
  .strictMemorySafety(),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
  .enableExperimentalFeature("Lifetimes"),
  .treatAllWarnings(as: .error),
  // Simulations may force what the engine seldom does; releases have none of it.
  .define("TURBIDITE_RARE_PATHS", .when(configuration: .debug)),
]

/// Tools and tests relax memory safety only.
let relaxed: [SwiftSetting] = [
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .enableExperimentalFeature("Lifetimes"),
  .treatAllWarnings(as: .error),
]

/// Whether Tools/micro builds.
///
/// The engine then has a room more, in which its own operations are repeated as it calls them
/// itself: seen through `@testable`, the entry of a scan takes four times the instructions.
let isCounting = Context.environment["TURBIDITE_MICRO"] != nil

let package = Package(
  name: "turbidite",
  products: [
    .library(name: "Turbidite", targets: ["Turbidite"]),
    .library(name: "TurbiditeSimulation", targets: ["TurbiditeSimulation"]),
    .executable(name: "turbidite", targets: ["TurbiditeCLI"]),
  ],
  dependencies: [
    // Used by the command alone: a client of the library clones it and compiles none of it.
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2")
  ],
  targets: [
    .systemLibrary(
      name: "CLZ4", pkgConfig: "liblz4", providers: [.apt(["liblz4-dev"])]),
    .systemLibrary(
      name: "CXXHash", pkgConfig: "libxxhash", providers: [.apt(["libxxhash-dev"])]),
    .target(name: "CTurbiditeShims"),
    .target(
      name: "TurbiditeSystem", dependencies: ["CTurbiditeShims"], swiftSettings: strict),
    .target(
      name: "TurbiditeEngine",
      dependencies: ["TurbiditeSystem", "CTurbiditeShims", "CLZ4", "CXXHash"],
      exclude: isCounting ? [] : ["Micro"], swiftSettings: strict),
    .target(
      name: "Turbidite", dependencies: ["TurbiditeEngine", "TurbiditeSystem"],
      swiftSettings: strict),
    // A machine that fails on request, for our tests and for those of users.
    .target(
      name: "TurbiditeSimulation",
      dependencies: ["Turbidite", "TurbiditeEngine", "TurbiditeSystem"],
      swiftSettings: strict),
    .executableTarget(
      name: "TurbiditeCLI",
      dependencies: [
        "Turbidite", "TurbiditeTorture",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      path: "Tools/TurbiditeCLI", swiftSettings: relaxed),
    .executableTarget(
      name: "turbidite-demo", dependencies: ["Turbidite"], path: "Tools/Demo",
      swiftSettings: relaxed),
    .target(name: "Tidy", path: "Tools/Tidy", swiftSettings: relaxed),
    // Children that write until they are killed, and the ledgers they are held against.
    .target(
      name: "TurbiditeTorture", dependencies: ["Turbidite", "TurbiditeSimulation"],
      path: "Tools/Torture", swiftSettings: relaxed),
    .executableTarget(
      name: "turbidite-torture", dependencies: ["TurbiditeTorture"], path: "Tools/TortureRunner",
      swiftSettings: relaxed),
    .testTarget(
      name: "TurbiditeSystemTests", dependencies: ["TurbiditeSystem", "TurbiditeSimulation"],
      swiftSettings: relaxed),
    .testTarget(
      name: "TurbiditeEngineTests",
      dependencies: ["TurbiditeEngine", "TurbiditeSystem", "TurbiditeSimulation"],
      swiftSettings: relaxed),
    .testTarget(
      name: "TurbiditeTests",
      dependencies: [
        "Turbidite", "TurbiditeEngine", "TurbiditeSystem", "TurbiditeSimulation",
        "TurbiditeTorture", "turbidite-torture",
      ],
      swiftSettings: relaxed),
    // Knows what users know, and nothing more.
    .testTarget(
      name: "SimulationTests", dependencies: ["Turbidite", "TurbiditeSimulation"],
      swiftSettings: relaxed),
    .testTarget(
      name: "CommandTests", dependencies: ["Turbidite", "TurbiditeCLI"], swiftSettings: relaxed),
    // Replays the fuzzers' corpus; Tools/fuzz builds the same entries for libFuzzer.
    .testTarget(
      name: "FuzzerTests",
      dependencies: [
        "TurbiditeCLI", "Turbidite", "TurbiditeEngine", "TurbiditeSystem", "TurbiditeSimulation",
      ],
      path: "Fuzzers", exclude: ["Corpus", "Harness"], swiftSettings: relaxed),
    .testTarget(name: "TidyTests", dependencies: ["Tidy"], swiftSettings: relaxed),
  ],
  swiftLanguageModes: [.v6]
)

if isCounting {
  package.targets.append(
    .executableTarget(
      name: "turbidite-micro", dependencies: ["Turbidite", "TurbiditeEngine"],
      path: "Tools/Micro", exclude: ["bounds.txt"], swiftSettings: relaxed))
}
