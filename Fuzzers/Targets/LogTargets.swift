// LogTargets — the commit log under fuzz: a segment, a recovery, the entries of a frame.
//
// Room:    Fuzzers.
// Format:  FORMAT.md section 4.

import TurbiditeSimulation
import TurbiditeSystem

@testable import Turbidite
@testable import TurbiditeEngine

/// The entries of the log's fuzzers.
enum LogTargets {
  /// Walks a segment, decodes each frame's entries, and searches behind what is bad.
  static func segment(_ input: [UInt8]) {
    tolerating { () throws(StoreError) in
      let reader = try LogSegmentReader(
        try lone(input, as: "log/000001.tlog"), number: 1, store: nil)
      if let header = reader.header {
        let written = header.encoded()
        // Bytes that a reader may ignore are written as zeros; all else comes back.
        let again = try written.withView { bytes throws(StoreError) in
          try LogSegmentHeader.decode(bytes, file: "again")
        }
        require(again == header, "a segment header changes when written again")
      }
      var last = 0
      let (end, _) = try reader.walk { frame throws(StoreError) in
        require(frame.offset >= last, "a frame begins inside the one before")
        last = frame.offset + frame.byteCount
        require(last <= input.count, "a frame exceeds the file")
        tolerating { () throws(StoreError) in
          var count = 0
          try reader.forEachEntry(of: frame) { _, sequence throws(StoreError) in
            require(sequence <= Tag.maximumSequence, "a sequence number over the limit")
            count += 1
          }
          require(count == frame.entryCount, "a frame holds another number of entries")
        }
      }
      require(end <= input.count, "the walk ends behind the file")
      _ = reader.syncedPosition(searchingFrom: end)
      if let next = reader.nextFrame(behind: end) {
        require(next > end && next < input.count, "the next frame is not behind the bad one")
      }
    }
  }

  /// Opens a small store with the input in place of its last log segment, reads it, and opens it
  /// again: what the first opening recovered, the second must find.
  static func recovery(_ input: [UInt8]) {
    let sample = SampleStore.shared
    let disk = sample.disk.crashed(.processKill)
    tolerating { () throws(StoreError) in
      do throws(SystemError) {
        try disk.setContents(FileNames.logSegment(sample.lastSegment.number), input)
      } catch { throw StoreError(error) }
      try StoreTargets.openTwice(disk, tablesAreOurs: true)
    }
  }

  /// Decodes the payload of a frame of either kind, and encodes it again.
  static func entries(_ input: [UInt8]) {
    guard let first = input.first else { return }
    let isCarried = first & 1 != 0
    Array(input.dropFirst()).withView { payload in
      var reader = LogEntryReader(payload, firstSequence: 1, carries: isCarried)
      var batch = EncodedBatch()
      do throws(DecodingFailure) {
        while let (entry, sequence) = try reader.next() {
          if isCarried {
            let shard = entry.carriedShard ?? 0
            require(shard < Limits.shardCount, "a carried entry's shard cannot be")
            batch.appendCarried(
              sequence: sequence, shard: shard, entry.kind, keyspace: entry.keyspace, entry.key,
              entry.value)
          } else {
            batch.append(entry.kind, keyspace: entry.keyspace, entry.key, entry.value)
          }
        }
        require(batch.bytes == payload.bytes(), "entries change when encoded again")
      } catch {
        require(!error.finding.isEmpty, "a failure says nothing")
        let whole = batch.bytes
        require(whole == payload.slice(0, whole.count).bytes(), "entries before a bad one change")
      }
    }
  }
}
