import Glibc
import Testing
import TurbiditeSystem

@testable import TurbiditeEngine

/// What an error says is true, and names something, also where the system call had no path.
@Suite("Errors in words")
struct StoreErrorTests {
  @Test(
    "a call on the store's directory itself is said to be one", arguments: [EMFILE, EIO, ENOSPC])
  func directory(_ code: Int32) {
    let failure = SystemError(operation: "fsync", path: "", code: code)
    for error in [StoreError(failure), StoreError(sync: failure)] {
      #expect(error.description.contains("fsync of the store's directory"), "\(error)")
    }
  }

  @Test("a commit that is in the log and found no memory names the segment and the cause")
  func noMemory() {
    let error = StoreError(unapplied: "log/000003.tlog", .resourceExhausted("a memtable"))
    #expect(
      error.description
        == "insertion into memory of log/000003.tlog failed (Cannot allocate memory): what was"
        + " being written may or may not survive a power loss")
    #expect(error.outcome == .unknown)
  }

  @Test("an error without a code of the system does not say that it was a success")
  func noCode() {
    let error = StoreError(unapplied: "log/000003.tlog", .invalidArgument("a batch"))
    #expect(!error.description.contains("Success"), "\(error)")
    #expect(error.description.contains("log/000003.tlog failed: "), "\(error)")
  }
}
