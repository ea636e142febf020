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
    // Used by the tools alone: a client of the library clones them and compiles none of them.
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    // Starts the programs of other people's jobs. Without its trait it needs no Foundation.
    .package(url: "https://github.com/swiftlang/swift-subprocess", from: "1.0.2", traits: []),
    // What swift-subprocess names descriptors and paths with.
    .package(url: "https://github.com/apple/swift-system", from: "1.8.1"),
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
        "Turbidite", "TurbiditeTorture", "TurbiditeProgramJobs", "TurbiditePrograms",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      path: "Tools/TurbiditeCLI", swiftSettings: relaxed),
    .executableTarget(
      name: "turbidite-demo", dependencies: ["Turbidite"], path: "Tools/Demo",
      swiftSettings: relaxed),
    .target(name: "Tidy", path: "Tools/Tidy", swiftSettings: relaxed),
    // Runs programs that are not to be trusted, one at a time; knows nothing of stores.
    .target(
      name: "TurbiditePrograms",
      dependencies: [
        .product(name: "Subprocess", package: "swift-subprocess"),
        .product(name: "SystemPackage", package: "swift-system"),
      ],
      path: "Tools/Programs", swiftSettings: relaxed),
    // Jobs of programs: what is done, in which directory, and what becomes of it.
    .target(
      name: "TurbiditeProgramJobs",
      dependencies: ["Turbidite", "TurbiditeEngine", "TurbiditeSystem", "TurbiditePrograms"],
      path: "Tools/ProgramJobs", swiftSettings: relaxed),
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
    .testTarget(
      name: "ProgramTests", dependencies: ["TurbiditePrograms"], swiftSettings: relaxed),
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
