// Jobs — the records in one go, on all processors.
//
// Room:    Tools/Demo.

import Foundation
import Turbidite

private let packages = JobSource.scan(.prefix("pkg/"))

/// Prints every package as it stood in the index.
func printText(_ storePath: String) throws {
  let store = try openStore(storePath, mode: .readOnly)
  let scan = try store.blocking.scan(.prefix("pkg/"))
  while let entry = try scan.next() {
    FileHandle.standardOutput.write(Data(entry.value.array + [0x0a]))
  }
  try store.blocking.close()
}

/// Prints how often each word stands in the index, as `uniq -c` does.
func countWords(_ storePath: String) throws {
  let store = try openStore(storePath, mode: .readOnly)
  let words = try store.blocking.mapReduce(
    over: packages,
    map: { record, emit in record.value.forEachWord { emit($0, 1) } },
    reduce: .sum)
  print(words)
  try store.blocking.close()
}

/// Prints the kibibytes that the packages of each section take when they are installed.
func sumSizes(_ storePath: String) throws {
  let store = try openStore(storePath, mode: .readOnly)
  let sizes = try store.blocking.mapReduce(
    over: packages,
    map: { record, emit in
      var section: Bytes?
      var size: Int?
      record.value.forEachField(separatedBy: 0x0a) { line in
        if let name = line.after("Section: ") { section = Bytes(copying: name) }
        if let number = line.after("Installed-Size: ") { size = number.decimal }
      }
      if let section, let size { emit(section, size) }
    },
    reduce: .sum)
  print(sizes)
  try store.blocking.close()
}

private func print(_ result: JobResult<Int>) {
  var lines: [UInt8] = []
  for element in result {
    lines += Array("\(element.value) ".utf8) + element.key.array + [0x0a]
  }
  FileHandle.standardOutput.write(Data(lines))
}
