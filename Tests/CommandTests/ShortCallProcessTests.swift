import Foundation
import Testing

@testable import TurbiditeCLI

/// The built command over a system whose calls are interrupted, and do less than they were asked.
///
/// Method: a library of a few lines, built by the toolchain's C compiler, stands before the calls
///         that move a store's bytes: each third one is interrupted before it does anything, and
///         none moves more than some hundred bytes. A tracer could fail calls, but not shorten
///         them: what it answers for a call it does not do.
@Suite("Short and interrupted calls")
struct ShortCallProcessTests {
  private static let tool = builtCommand

  private static let library = """
    #define _GNU_SOURCE
    #include <errno.h>
    #include <fcntl.h>
    #include <stdio.h>
    #include <stdlib.h>
    #include <sys/syscall.h>
    #include <sys/uio.h>
    #include <unistd.h>
    static _Atomic unsigned turns, interrupted, shortened;
    static int interrupts(void) {
      if (turns++ % 3 != 0) return 0;
      interrupted++;
      errno = EINTR;
      return 1;
    }
    static size_t cut(size_t count) {
      size_t most = 1 + turns % 700;
      if (count <= most) return count;
      shortened++;
      return most;
    }
    ssize_t pread(int file, void *bytes, size_t count, off_t offset) {
      struct iovec part = {bytes, cut(count)};
      return interrupts() ? -1 : preadv(file, &part, 1, offset);
    }
    ssize_t pwrite(int file, const void *bytes, size_t count, off_t offset) {
      struct iovec part = {(void *)bytes, cut(count)};
      return interrupts() ? -1 : pwritev(file, &part, 1, offset);
    }
    int fdatasync(int file) { return interrupts() ? -1 : syscall(SYS_fdatasync, file); }
    int fsync(int file) { return interrupts() ? -1 : syscall(SYS_fsync, file); }
    int ftruncate(int file, off_t size) {
      return interrupts() ? -1 : syscall(SYS_ftruncate, file, size);
    }
    int fallocate(int file, int mode, off_t from, off_t count) {
      return interrupts() ? -1 : syscall(SYS_fallocate, file, mode, from, count);
    }
    __attribute__((destructor)) static void report(void) {
      const char *path = getenv("SHORT_CALLS");
      FILE *file = path ? fopen(path, "w") : NULL;
      if (file) {
        fprintf(file, "%u %u", interrupted, shortened);
        fclose(file);
      }
    }
    """

  private static let hasCompiler: Bool = {
    do { return try runProgram("/usr/bin/env", ["clang", "--version"]).status == 0 } catch {
      return false
    }
  }()

  @Test(
    "what was written through short and interrupted calls is there, and read through them too",
    .enabled(if: hasCompiler, "short calls: skipped, clang is not installed"))
  func loops() throws {
    let place = try Workplace()
    try place.write(Array(Self.library.utf8), to: "short.c")
    let built = try runProgram(
      "/usr/bin/env",
      ["clang", "-shared", "-fPIC", "-o", place.file("short.so"), place.file("short.c")])
    try #require(built.status == 0, "\(built.error)")
    var generator = SeededGenerator(seed: 32)
    var text: [UInt8] = []
    for number in 0..<400 {
      let record = Record(key: Array("key\(1000 + number)".utf8), value: generator.bytes(upTo: 900))
      TabSeparated.append(record, encoding: .escaped, to: &text)
    }
    let store = place.file("store")

    /// Runs the command, and says how many of its calls were interrupted and how many shortened.
    func run(_ arguments: [String], input: [UInt8] = []) throws -> (Outcome, [Int]) {
      let outcome = try runProgram(
        "/usr/bin/env",
        [
          "LD_PRELOAD=" + place.file("short.so"), "SHORT_CALLS=" + place.file("calls"), Self.tool,
        ] + arguments, input: input)
      #expect(outcome.status == 0, "\(arguments): \(outcome.error)")
      let counts = String(decoding: try place.read("calls"), as: UTF8.self).split(separator: " ")
      return (outcome, counts.compactMap { Int($0) })
    }

    for arguments in [["load", store, "-", "--create", "--shards", "2"], ["compact", store]] {
      let (_, counts) = try run(arguments, input: text)
      #expect(counts.allSatisfy { $0 > 10 }, "\(arguments): \(counts)")
    }
    #expect(try runProgram(Self.tool, ["verify", store, "--deep"]).status == 0)
    let whole = try runProgram(Self.tool, ["scan", store]).output
    #expect(whole == text)
    for arguments in [["scan", store], ["verify", store, "--deep"]] {
      let (outcome, counts) = try run(arguments)
      #expect(counts.allSatisfy { $0 > 10 }, "\(arguments): \(counts)")
      if arguments[0] == "scan" { #expect(outcome.output == text) }
    }
  }
}
