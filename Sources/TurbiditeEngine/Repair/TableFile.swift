// TableFile — a file where a table would be, and whose it says it is.
//
// Room:    Engine/Repair.
// Format:  FORMAT.md sections 3.1 and 3.8.

import TurbiditeSystem

/// A file where a table would be.
struct TableFile {
  let path: String
  /// What its name says.
  let shard: UInt32
  let number: UInt64
  /// What its header says, or said before it was damaged; nil when nothing tells.
  private(set) var header: TableIdentity?

  /// - Throws: what is no damage to the file.
  init(
    _ path: String, shard: UInt32, number: UInt64, in fileSystem: any FileSystem
  ) throws(StoreError) {
    self.path = path
    self.shard = shard
    self.number = number
    do throws(StoreError) {
      header = try TableReader.readIdentity(try fileSystem.openFile(path, .read)).identity
    } catch {
      guard error.loss(of: path) != nil else { throw error }
    }
  }

  /// Finds out what a header said that is damaged.
  ///
  /// The name says shard and number, and the footer the header's checksum: the keyspace is the one
  /// whose header has it.
  mutating func restoreHeader(
    in fileSystem: any FileSystem, store: StoreID, keyspaces: Set<UInt32>
  ) throws(StoreError) {
    var found: TableFooter?
    do throws(StoreError) {
      let file = try fileSystem.openFile(path, .read)
      found =
        try TableFooter.read(
          from: file, fileByteCount: try file.byteCount(),
          seed: ChecksumSeed(store: store, fileNumber: number), expecting: nil
        ).footer
    } catch {
      guard error.loss(of: path) != nil else { throw error }
    }
    guard let footer = found else { return }
    header = keyspaces.lazy
      .map { [number, shard] keyspace in
        TableIdentity(store: store, fileNumber: number, keyspace: keyspace, shard: shard)
      }
      .first { TableHeader.of($0, checksum: footer.headerChecksum) != nil }
  }
}
