// FileErrors — the file system's verbs with the engine's error.
//
// Room:    Engine/Bytes.

package import TurbiditeSystem

extension FileSystem {
  func openFile(_ path: String, _ mode: OpenMode) throws(StoreError) -> any File {
    do throws(SystemError) { return try open(path, mode) } catch { throw StoreError(error) }
  }

  func listFiles(_ directory: String) throws(StoreError) -> [String] {
    do throws(SystemError) { return try list(directory) } catch { throw StoreError(error) }
  }

  func removeFile(_ path: String) throws(StoreError) {
    do throws(SystemError) { try remove(path) } catch { throw StoreError(error) }
  }

  /// Makes directories, but those that their parent has.
  func makeDirectoriesIfAbsent(_ paths: [String], in parent: String) throws(StoreError) {
    let there = Set(try listFiles(parent))
    for path in paths {
      let name = path.split(separator: "/").last.map(String.init) ?? path
      if !there.contains(name) { try makeDirectory(path) }
    }
  }

  func makeDirectory(_ path: String) throws(StoreError) {
    do throws(SystemError) { try createDirectory(path) } catch { throw StoreError(error) }
  }

  /// Opens a directory so that the names in it can be made durable.
  func openNames(_ directory: String) throws(StoreError) -> any Directory {
    do throws(SystemError) { return try openDirectory(directory) } catch {
      throw StoreError(error)
    }
  }

  /// Makes the names in `directory` durable.
  ///
  /// A directory that cannot be opened is no failed sync: another attempt may be made.
  func syncNames(_ directory: String) throws(StoreError) {
    let names = try openNames(directory)
    do throws(SystemError) { try names.sync() } catch { throw StoreError(sync: error) }
  }

  /// Gives a whole and durable file its final name, durably.
  func publish(_ temporary: String, as path: String, in directory: String) throws(StoreError) {
    do throws(SystemError) { try rename(temporary, to: path) } catch { throw StoreError(error) }
    if !planted(.skipRenameSync) { try syncNames(directory) }
  }
}

extension File {
  func byteCount() throws(StoreError) -> UInt64 {
    do throws(SystemError) { return try size() } catch { throw StoreError(error) }
  }

  func writeBytes(_ bytes: [UInt8], at offset: UInt64) throws(StoreError) {
    do throws(SystemError) { try write(bytes.span.rawBytes, at: offset) } catch {
      throw StoreError(error)
    }
  }

  /// At most `limit` bytes from `offset` on; fewer where the file ends.
  package func bytes(at offset: UInt64, atMost limit: Int) throws(StoreError) -> [UInt8] {
    let end = try byteCount()
    guard offset < end else { return [] }
    let buffer = try readBuffer(at: offset, count: Int(min(UInt64(limit), end - offset)))
    defer { withExtendedLifetime(buffer) {} }
    return buffer.view.bytes()
  }

  package func syncBytes() throws(StoreError) {
    do throws(SystemError) { try sync() } catch { throw StoreError(sync: error) }
  }
}

/// Refuses a file whose header, whole by its checksum, says that this code cannot read it.
func requireReadable(
  _ file: String, version: UInt32, supported: UInt32, requiredFeatures: UInt32,
  knownFeatures: UInt32 = 0
) throws(StoreError) {
  guard version == supported || planted(.acceptNewerFormat) else {
    throw .unsupportedFormat(file: file, found: version, supported: supported)
  }
  let unknown = requiredFeatures & ~knownFeatures
  guard unknown == 0 else {
    throw .configuration(
      "\(file) needs features that this version does not know"
        + " (bits \(hexadecimal(UInt64(unknown))))")
  }
}
