// SystemError — the operating system said no.
//
// Room:    System.

import CTurbiditeShims

#if canImport(Glibc)
import Glibc
#endif

/// A system call that failed: which, on what, and why.
package struct SystemError: Error, Sendable, Hashable {
  /// The call's name, as in `pwrite`.
  package var operation: String
  /// The path below the store's root; empty for the root itself.
  package var path: String
  /// `errno`.
  package var code: Int32

  package init(operation: String, path: String, code: Int32) {
    self.operation = operation
    self.path = path
    self.code = code
  }
}

extension SystemError {
  /// The causes that callers treat differently.
  package enum Cause: Sendable, Hashable {
    /// The disk or a quota is full, or the file may not grow (`ENOSPC`, `EDQUOT`, `EFBIG`).
    case space
    /// Access is denied (`EACCES`, `EPERM`, `EROFS`).
    case permission
    /// Descriptors or memory ran out (`EMFILE`, `ENFILE`, `ENOMEM`).
    case handlesOrMemory
    /// Anything else.
    case other
  }

  /// Why the call failed, coarsely.
  package var cause: Cause {
    switch code {
    case ENOSPC, EDQUOT, EFBIG: .space
    case EACCES, EPERM, EROFS: .permission
    case EMFILE, ENFILE, ENOMEM: .handlesOrMemory
    default: .other
    }
  }

  /// The file or directory does not exist.
  package var isAbsent: Bool { code == ENOENT }

  /// What the system says when the disk is full.
  package static let noSpaceCode: Int32 = ENOSPC

  /// What the system says when there is no memory.
  package static let noMemoryCode: Int32 = ENOMEM
  /// That of a file that is not there.
  package static let absentCode: Int32 = ENOENT

  /// The name is taken.
  package var isPresent: Bool { code == EEXIST }

  /// A link cannot be made between these places, on this disk, or of this file: a copy can.
  package var asksForCopy: Bool {
    code == EXDEV || code == EPERM || code == EMLINK || code == EOPNOTSUPP || code == ENOSYS
  }

  /// What was to be a directory is something else.
  package var isNotDirectory: Bool { code == ENOTDIR }

  /// What was to be a directory is a symbolic link, which is not followed.
  package var isLink: Bool { code == ELOOP }

  /// What the system says of bytes that are no text.
  package static let notTextCode: Int32 = EILSEQ
  /// The path of the working directory is not UTF-8.
  package var isNotText: Bool { code == Self.notTextCode && operation == "getcwd" }

  /// What was to be opened is a directory, a pipe, a device, a link, or has no possible name.
  package var isNoRegularFile: Bool {
    code == EISDIR || code == EINVAL || code == ELOOP || code == ENXIO || code == ENODEV
  }
}

/// What the system says of an `errno`.
package func systemMessage(_ code: Int32) -> String {
  var buffer = [CChar](repeating: 0, count: 128)
  // Safe: strerror_r is given the array's own size and ends what it writes with a zero.
  let text = unsafe buffer.withUnsafeMutableBufferPointer { bytes -> String in
    guard let base = bytes.baseAddress,
      let message = unsafe turbidite_strerror(code, base, bytes.count)
    else { return "error \(code)" }
    return unsafe String(cString: message)
  }
  return text
}
