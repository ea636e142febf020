// CutDisk — a file system on a file, whose power can be cut.
//
// Room:    Tools/Torture.
// Source:  include/uapi/linux/loop.h (LOOP_CONFIGURE), include/uapi/linux/fs.h and fs/ext4, fs/xfs
//          (the shutdown ioctl, 0x8004587d, the same for both).
// Limits:  Root only. Its process stands in a mount namespace of its own and the loop device clears
//          itself with the last mount, so that nothing is left behind however the process ends.
//          Each mount has a new loop device: the cache of an old one would show, after a cut,
//          metadata that never reached the image.

import Foundation

/// A file system that a cut can be tried on.
package enum CutFileSystem: String, Sendable, CaseIterable {
  case ext4
  case xfs

  /// Smaller ones are refused by mkfs, or have journals unlike those of a real disk.
  fileprivate var byteCount: Int { self == .ext4 ? 96 << 20 : 320 << 20 }

  fileprivate var makeWords: [String] {
    self == .ext4 ? ["mkfs.ext4", "-q", "-F"] : ["mkfs.xfs", "-q", "-f"]
  }

  /// Whether its mkfs is installed.
  package var isAvailable: Bool { Command([makeWords[0], "-V"]).run().status == 0 }

  /// Why no power can be cut here, in words; nil when it can.
  package static var obstacle: String? {
    if getuid() != 0 { return "not root" }
    if access("/dev/loop-control", R_OK | W_OK) != 0 { return "no loop devices here" }
    if Command(["unshare", "--mount", "--propagation", "private", "true"]).run().status != 0 {
      return "mounts are not allowed here"
    }
    if !allCases.contains(where: \.isAvailable) { return "no mkfs.ext4 and no mkfs.xfs here" }
    return nil
  }
}

/// A mounted image.
final class CutDisk {
  /// Where the file system is mounted.
  let mountPoint: String
  private let image: String
  private let kind: CutFileSystem
  private var isMounted = false

  /// Makes an image in `directory`, and mounts it.
  init(_ kind: CutFileSystem, directory: String) throws {
    self.kind = kind
    image = "\(directory)/\(kind.rawValue).image"
    mountPoint = "\(directory)/\(kind.rawValue)"
    try makeDirectory(mountPoint)
    let descriptor = open(image, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
    try require(descriptor >= 0, "creating \(image) failed with \(errno)")
    defer { close(descriptor) }
    try require(ftruncate(descriptor, kind.byteCount) == 0, "sizing \(image) failed with \(errno)")
    try Command(kind.makeWords + [image]).require()
    try mount()
  }

  deinit {
    if isMounted { _ = umount2(mountPoint, Int32(MNT_DETACH)) }
  }

  /// Cuts the power: what is not on disk now never will be.
  ///
  /// - Parameter logIsFlushed: true is the kinder cut, where the journal is written out but no data
  ///   that it does not hold: sizes and names without their bytes.
  func cut(logIsFlushed: Bool) throws(TortureFailure) {
    let descriptor = open(mountPoint, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    try require(descriptor >= 0, "opening \(mountPoint) failed with \(errno)")
    defer { close(descriptor) }
    var flag: UInt32 = logIsFlushed ? 1 : 2
    try require(
      ioctl(descriptor, UInt(0x8004_587d), &flag) == 0,
      "the shutdown of \(mountPoint) failed with \(errno)")
  }

  /// Unmounts and mounts again: the journal is replayed.
  func restart() throws(TortureFailure) {
    try unmount()
    try mount()
  }

  /// Unmounts, and gives the image back.
  func remove() throws {
    try unmount()
    try FileManager.default.removeItem(atPath: image)
  }

  private func mount() throws(TortureFailure) {
    let descriptor = open(image, O_RDWR | O_CLOEXEC)
    try require(descriptor >= 0, "opening \(image) failed with \(errno)")
    defer { close(descriptor) }
    let (loop, device) = try Self.attach(descriptor)
    defer { close(loop) }
    try require(
      Foundation.mount(device, mountPoint, kind.rawValue, 0, nil) == 0,
      "mounting \(device) failed with \(errno)")
    isMounted = true
    try requireHealth(device)
  }

  /// Fails when the file system says of itself that it is damaged: no store can be judged on it.
  private func requireHealth(_ device: String) throws(TortureFailure) {
    let count = "/sys/fs/ext4/\(device.dropFirst("/dev/".count))/errors_count"
    guard kind == .ext4, let bytes = FileManager.default.contents(atPath: count) else { return }
    let text = String(decoding: bytes, as: UTF8.self)
      .trimmingCharacters(in: .whitespacesAndNewlines)
    try require(text == "0", "\(kind.rawValue) itself is damaged: it counts \(text) errors")
  }

  private func unmount() throws(TortureFailure) {
    // The last reference of a process that was killed may go a moment after its end was reported.
    for _ in 0..<2000 {
      if umount2(mountPoint, 0) == 0 {
        isMounted = false
        return
      }
      try require(errno == EBUSY, "unmounting \(mountPoint) failed with \(errno)")
      usleep(1000)
    }
    throw TortureFailure("\(mountPoint) is still in use two seconds after its writer's end")
  }

  /// Gives the file a loop device that clears itself.
  private static func attach(_ file: Int32) throws(TortureFailure) -> (Int32, String) {
    let control = open("/dev/loop-control", O_RDWR | O_CLOEXEC)
    try require(control >= 0, "opening /dev/loop-control failed with \(errno)")
    defer { close(control) }
    // Somebody else may take the free one first.
    for _ in 0..<50 {
      let number = ioctl(control, UInt(0x4c82), 0)
      try require(number >= 0, "there is no free loop device: \(errno)")
      let path = "/dev/loop\(number)"
      let loop = open(path, O_RDWR | O_CLOEXEC)
      try require(loop >= 0, "opening \(path) failed with \(errno)")
      // struct loop_config: the file, a block size, loop_info64 whose flags stand at 52, 64 bytes.
      var config = [UInt8](repeating: 0, count: 304)
      for byte in 0..<4 { config[byte] = UInt8(truncatingIfNeeded: file >> (8 * Int32(byte))) }
      config[8 + 52] = 4  // LO_FLAGS_AUTOCLEAR
      if ioctl(loop, UInt(0x4c0a), &config) == 0 { return (loop, path) }
      close(loop)
    }
    throw TortureFailure("no loop device could be had")
  }
}
