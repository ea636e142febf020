// Running — a program for a test: run on a thread of its own, with what it said collected.
//
// Room:    Tests of Programs.

import Foundation
import Synchronization
import TurbiditePrograms

/// What a program gave.
struct Run: Sendable {
  var result: ProgramResult
  var output: [UInt8]
  var reports: [String]
  var seconds: Double

  var end: ProgramEnd { result.end }
  var text: String { String(decoding: output, as: UTF8.self) }
}

/// Limits with some of them set.
func limits(
  wall: Double? = 60, cpu: Int? = nil, memory: Int? = nil, output: Int? = nil, grace: Double = 0.5
) -> ProgramLimits {
  var limits = ProgramLimits()
  limits.wallSeconds = wall
  limits.cpuSeconds = cpu
  limits.memoryByteCount = memory
  limits.outputByteCount = output
  limits.graceSeconds = grace
  return limits
}

/// Runs a program off the co-operative pool, as every caller must.
func perform(
  _ command: String, environment: [String: String] = [:], directory: String? = nil,
  limits: ProgramLimits = limits(), sandbox: Sandbox? = nil,
  feed: @escaping @Sendable (ProgramInput) -> Void = { _ in },
  isCancelled: @escaping @Sendable () -> Bool = { false }
) async -> Run {
  let program = Program(
    command: command, environment: environment, directory: directory, limits: limits,
    sandbox: sandbox)
  return await onThread {
    let reports = Mutex<[String]>([])
    var output: [UInt8] = []
    let start = ContinuousClock.now
    let result = runProgram(
      program, feed: feed,
      receive: { bytes in
        output.append(contentsOf: bytes)
        return true
      },
      report: { line in reports.withLock { $0.append(line) } }, isCancelled: isCancelled)
    return Run(
      result: result, output: output, reports: reports.withLock { $0 },
      seconds: (ContinuousClock.now - start) / .seconds(1))
  }
}

/// Runs `body` on a thread of its own.
func onThread<Value: Sendable>(_ body: @escaping @Sendable () -> Value) async -> Value {
  await withCheckedContinuation { continuation in
    Thread.detachNewThread { continuation.resume(returning: body()) }
  }
}

/// Feeds so many bytes of a fixed pattern; how many were taken.
@discardableResult
func feedPattern(_ input: ProgramInput, byteCount: Int) -> Int {
  var fed = 0
  let piece = patternPiece
  while fed < byteCount {
    let count = min(piece.count, byteCount - fed)
    if !piece.withUnsafeBytes({ input.write(UnsafeRawBufferPointer(rebasing: $0[..<count])) }) {
      break
    }
    fed += count
  }
  return fed
}

/// What is fed, again and again: no two of its neighbourhoods are alike.
let patternPiece: [UInt8] = {
  var state: UInt64 = 88_172_645_463_325_252
  return (0..<(1 << 20)).map { _ in
    state ^= state << 13
    state ^= state >> 7
    state ^= state << 17
    return UInt8(truncatingIfNeeded: state >> 24)
  }
}()

/// A new directory below `parent`, which the caller removes.
func newDirectory(in parent: String = NSTemporaryDirectory()) -> String {
  let path = (parent as NSString).appendingPathComponent("programs-\(UUID().uuidString)")
  try! FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  return path
}
