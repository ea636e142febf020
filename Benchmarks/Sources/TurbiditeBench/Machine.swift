// Machine — what the workloads ask of the system: time, memory, other processes.
//
// Room:    Benchmarks.
// Limits:  Linux.

import Glibc

/// Why a run stops.
struct Stop: Error, CustomStringConvertible {
  var description: String

  init(_ description: String) { self.description = description }
}

/// A stop-watch.
struct Stopwatch {
  private let start = ContinuousClock.now

  var seconds: Double { (ContinuousClock.now - start) / .seconds(1) }
  var milliseconds: Double { seconds * 1000 }
}

/// Processor time that this thread has used, in milliseconds: what a busy machine does not stretch.
func threadMilliseconds() -> Double {
  var time = timespec()
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
  return Double(time.tv_sec) * 1000 + Double(time.tv_nsec) / 1e6
}

/// A line of /proc/self/status that is given in kB, in MiB.
func processMebibytes(_ field: String) -> Double {
  for line in contents(ofFile: "/proc/self/status").split(separator: "\n") {
    guard line.hasPrefix(field + ":") else { continue }
    let number = line.split(whereSeparator: { $0 == " " || $0 == "\t" })[1]
    return (Double(number) ?? .nan) / 1024
  }
  return .nan
}

/// One line that says where the numbers come from.
func machineLine() -> String {
  func field(_ name: String, in file: String) -> String {
    for line in contents(ofFile: file).split(separator: "\n") where line.hasPrefix(name) {
      guard let colon = line.firstIndex(of: ":") else { continue }
      let rest = line[line.index(after: colon)...]
      return String(rest.drop { $0 == " " || $0 == "\t" })
    }
    return "unknown"
  }
  let memory = field("MemTotal", in: "/proc/meminfo").split(separator: " ").first ?? "0"
  let mebibytes = (Int(memory) ?? 0) / 1024
  let kernel = contents(ofFile: "/proc/sys/kernel/osrelease").split(separator: "\n").first ?? "?"
  let load = contents(ofFile: "/proc/loadavg").split(separator: " ").first ?? "?"
  let processors = sysconf(Int32(_SC_NPROCESSORS_ONLN))
  return "\(processors) x \(field("model name", in: "/proc/cpuinfo")), \(mebibytes) MiB, "
    + "Linux \(kernel), load before \(load)"
}

/// Starts a program, waits for its end and gives its status as waitpid does.
func run(_ arguments: [String]) throws -> Int32 {
  guard let program = arguments.first else { throw Stop("there is no program to start") }
  var pointers = arguments.map { strdup($0) } + [nil]
  defer { for pointer in pointers { free(pointer) } }
  var child: pid_t = 0
  let code = posix_spawnp(&child, program, nil, nil, &pointers, environ)
  guard code == 0 else { throw Stop("cannot start \(program): errno \(code)") }
  var status: Int32 = 0
  while waitpid(child, &status, 0) < 0 {
    guard errno == EINTR else { throw Stop("cannot wait for \(program): errno \(errno)") }
  }
  return status
}

/// A number with so many digits behind the point.
func rounded(_ number: Double, _ digits: Int = 1) -> String {
  guard number.isFinite else { return "\(number)" }
  var scale = 1
  for _ in 0..<digits { scale *= 10 }
  let whole = Int((abs(number) * Double(scale)).rounded())
  let sign = number < 0 ? "-" : ""
  if digits == 0 { return sign + String(whole) }
  let fraction = String(whole % scale)
  let zeros = String(repeating: "0", count: digits - fraction.count)
  return sign + "\(whole / scale).\(zeros)\(fraction)"
}

func median(_ numbers: [Double]) -> Double {
  let sorted = numbers.sorted()
  return sorted.isEmpty ? .nan : sorted[sorted.count / 2]
}

/// Writes a line to standard output at once, so that it stands before what a child writes next.
func say(_ text: String) { write(text, to: STDOUT_FILENO) }

/// Writes a line to standard error.
func complain(_ text: String) { write(text, to: STDERR_FILENO) }

private func write(_ text: String, to descriptor: Int32) {
  var rest = Array((text + "\n").utf8)[...]
  while !rest.isEmpty {
    let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
    if count < 0 && errno == EINTR { continue }
    guard count > 0 else { exit(74) }
    rest = rest.dropFirst(count)
  }
}
