// BuildProduct — the other executables of this package.

import Foundation

/// The path of an executable of this package, built beside the tests.
func buildProduct(_ name: String) -> String {
  let bundle = Bundle.allBundles.map(\.bundlePath).first { $0.hasSuffix(".xctest") }
  let test = bundle ?? CommandLine.arguments[0]
  return URL(fileURLWithPath: test).deletingLastPathComponent().appendingPathComponent(name).path
}
