// swift-tools-version: 6.2
import PackageDescription

let settings: [SwiftSetting] = [
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .enableExperimentalFeature("Lifetimes"),
  .treatAllWarnings(as: .error),
]

let package = Package(
  name: "turbidite-benchmarks",
  dependencies: [.package(name: "turbidite", path: "..")],
  targets: [
    .executableTarget(
      name: "turbidite-bench",
      dependencies: [.product(name: "Turbidite", package: "turbidite")],
      path: "Sources/TurbiditeBench", swiftSettings: settings)
  ],
  swiftLanguageModes: [.v6]
)
