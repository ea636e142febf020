// ReportPage — the comparison as a page for readers, with its charts.
//
// Room:    Benchmarks.

struct ReportPage {
  var comparison: Comparison
  var terms: RunTerms
  var engines: [PeerKind]

  func write(into directory: String) throws {
    try turbidite_bench.write(text, toFile: directory + "/benchmarks.md")
    try turbidite_bench.write(Chart(comparison).svg, toFile: directory + "/benchmarks.svg")
    if let chart = GrowthChart(comparison) {
      try turbidite_bench.write(chart.svg, toFile: directory + "/benchmarks-growth.svg")
    }
    if let chart = ShardChart(comparison) {
      try turbidite_bench.write(chart.svg, toFile: directory + "/benchmarks-shards.svg")
    }
  }

  private var text: String {
    """
    # Benchmarks

    Written by `\(terms.command)` on \(terms.date): \(terms.summary).

    - Machine: \(terms.machine).
    - Disk: \(terms.disk).
    - Engines: \(engines.map { "\($0.title) \($0.version())" }.joined(separator: ", ")).

    ![How many times as fast as each peer](benchmarks.svg)

    Each cell beside ours is the ratio of our median to the peer's, turned so that more than 1 is
    better for us, and in brackets the least and the greatest ratio of a round. A goal is measured
    by the peer that is best in that row.

    \(Table(comparison).markdown)
    \(growth)\(shards)
    ## Terms

    - Keys of 16 bytes, spread at random over all keys; values of 100 bytes (1,000 in YCSB) of which
      half repeats. Every engine gets the same bytes in the same order, from the same code.
    - 256 MiB for block cache and memtables together, a Bloom filter of 10 bits a key, LZ4
      (LevelDB, WiredTiger: Snappy), log on, no sync except in fillsync. Ours with its default options.
      WiredTiger may have half of its cache changed, its log files are of 16 MB, and it makes a
      checkpoint a minute.
    - Every engine runs each group of workloads in a process of its own, in turn within a round; each
      round another goes first. Each is called through its C interface, ours through its own.
    - Every value that is read is compared with what was written, every scan with all that must be
      there. Making keys and values, that check and the clock cost each operation the same few tens
      of nanoseconds, and they count: they pull ratios of the fastest rows towards 1.
    - "As loaded" begins the moment that fillrandom has ended, with whatever work an engine has put
      off. "Compacted" is after a full compaction; LMDB has none, so its file is rewritten by a
      compacting copy.
    - Write amplification is `write_bytes` of `/proc/self/io` over the bytes of keys and values, after
      a flush and once background work rests; so are the bytes on disk. Ours count the file
      `RESERVE`, which a store keeps for the day when the disk is full.
    - Latencies are per call: per batch where there are batches. Peak memory is `VmHWM`, set back
      before each workload; some 20 MiB of it are the harness's, and what more it needs for a store
      that grows is deducted. LMDB and LevelDB map their files into memory, and what the kernel keeps
      of them counts.
    - The thousand iterators are scans from random keys, a session each, as loaded: each gives three
      records, and is held there while the others are opened; then it gives three more.
    - Workloads other than fills end after some seconds if their operations take longer.

    ## What an unsynced write promises

    These are not equal, and the table does not correct for it.

    \(promises)

    In fillsync every engine waits for the disk (LMDB without its `NOSYNC`), and the promises are the
    same. The row of 1,000 tasks uses our asynchronous verbs; the peers have none, and 16 threads
    stand for their best.

    ## Every workload

    Medians of the rounds; the longest operation is that of all rounds. Processor seconds are those of
    all threads of the process; "written" is what the workload caused to be written to the disk.

    \(DetailTable(comparison).markdown)

    """
  }

  private var growth: String {
    if GrowthChart(comparison) == nil { return "" }
    return """

      ## Cost as it grows

      ![Puts and gets a second over the records in the store](benchmarks-growth.svg)

      One store an engine, one round. Puts of new records in random order take it from each size to
      the next, one by one, and their rate is that of this stretch alone; then records are got at
      random, as loaded. Background work that the puts have left goes on during the gets. A peer has
      \(rounded(Growth.peerSeconds(isQuick: false), 0)) seconds for all its puts, \
      \(rounded(Growth.peerSeconds(isQuick: true), 0)) with `--quick`; ours loads all, however long it takes. When
      a peer's seconds are up, the rate is that of the records it has put, and gets read those: such a
      point is hollow and stands over the number of records that were loaded, the table says that
      number, and larger sizes are left out.

      At last the store is flushed, comes to rest and is closed. The system's cache drops its files,
      as far as `posix_fadvise` reaches (directories stay), and it is opened and gives one record: the
      median of five times.

      """
  }

  private var shards: String {
    guard let chart = ShardChart(comparison) else { return "" }
    let best = chart.curves.compactMap { curve in
      curve.best.map { "\(curve.title) at \($0.count)" }
    }
    return """

      ## How many shards

      ![Times the cost at the best count, over the number of shards](benchmarks-shards.svg)

      Ours alone, a new store for each count, all counts in every round and each round another first.
      Puts include the flush at their end; gets and three ordered scans follow when background work
      rests. Best: \(best.joined(separator: ", ")). A new store of default options has
      one. In the rows of two shards one thread puts all records in batches of 1,000, or
      each of two threads a half of them.

      \(chart.markdown)

      """
  }

  private var promises: String {
    engines.map { "- \($0.title). \($0.promise)" }.joined(separator: "\n")
  }
}
