// Harness — what libFuzzer calls.
//
// Room:    Fuzzers. Built by Tools/fuzz alone. One program for all targets: TURBIDITE_FUZZ_TARGET
//          names the one to run, and TURBIDITE_FUZZ_SEEDS a directory to write its seeds to.

import Glibc

/// libFuzzer's own mutations, which the mutator below begins with.
@_silgen_name("LLVMFuzzerMutate")
private func mutateByLibFuzzer(
  _ data: UnsafeMutablePointer<UInt8>, _ count: Int, _ limit: Int
)
  -> Int

private let target: FuzzTarget = {
  let name = getenv("TURBIDITE_FUZZ_TARGET").map { String(cString: $0) } ?? ""
  guard let target = FuzzTarget(rawValue: name) else {
    print("TURBIDITE_FUZZ_TARGET is \"\(name)\"; the targets are:")
    for target in FuzzTarget.allCases { print(target.rawValue) }
    exit(64)
  }
  return target
}()

/// Writes the seeds and ends, when that is what was asked for.
@_cdecl("LLVMFuzzerInitialize")
public func initialize(
  _ count: UnsafeMutableRawPointer, _ arguments: UnsafeMutableRawPointer
) -> CInt {
  guard let directory = getenv("TURBIDITE_FUZZ_SEEDS").map({ String(cString: $0) }) else {
    return 0
  }
  for (number, seed) in target.seeds.enumerated() {
    guard let file = fopen("\(directory)/seed-\(number)", "w") else { exit(74) }
    let written = seed.withUnsafeBytes { fwrite($0.baseAddress, 1, $0.count, file) }
    guard fclose(file) == 0, written == seed.count else { exit(74) }
  }
  exit(0)
}

/// Runs one input.
@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ data: UnsafePointer<UInt8>, _ count: Int) -> CInt {
  target.run(Array(UnsafeBufferPointer(start: data, count: count)))
  return 0
}

/// Mutates, then mends: but every eighth time leaves what breaks checksums broken.
@_cdecl("LLVMFuzzerCustomMutator")
public func mutate(
  _ data: UnsafeMutablePointer<UInt8>, _ count: Int, _ limit: Int, _ seed: CUnsignedInt
) -> Int {
  let mutated = mutateByLibFuzzer(data, count, limit)
  if seed % 8 == 0 { return mutated }
  let mended = target.mended(Array(UnsafeBufferPointer(start: data, count: mutated)))
  guard mended.count <= limit else { return mutated }
  for (index, byte) in mended.enumerated() { data[index] = byte }
  return mended.count
}
