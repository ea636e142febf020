// SimulatedDirectory — one open directory of the file system in memory.
//
// Room:    Simulation.

import TurbiditeSystem

/// An open directory.
///
/// It can be synced also when its name is gone.
final class SimulatedDirectory: Directory {
  private let disk: SimulatedDisk
  /// Nil for the root.
  private let opening: Int?
  private let directory: Int
  private let path: String

  init(_ disk: SimulatedDisk, opening: Int?, directory: Int, path: String) {
    self.disk = disk
    self.opening = opening
    self.directory = directory
    self.path = path
  }

  deinit { if let opening { disk.close(opening) } }

  func sync() throws(SystemError) {
    try disk.perform(FileOperation(.syncDirectory, path)) { $0.syncDirectory(directory) }
  }
}
