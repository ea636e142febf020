// CommandFailure — what the command itself can fail with, beside the store's own errors.
//
// Room:    Tools/TurbiditeCLI.
// Source:  The exit statuses are the table of docs/design.md, after BSD's sysexits.h.

/// The exit statuses that the command gives on its own account.
enum ExitStatus {
  /// Something named is absent.
  static let notFound: Int32 = 1
  /// The arguments make no sense.
  static let usage: Int32 = 64
  /// A record that the user gave cannot be read.
  static let badData: Int32 = 65
  /// An input file is missing.
  static let noInput: Int32 = 66
  /// Our mistake.
  static let internalError: Int32 = 70
  /// An output file cannot be created, or the disk is full.
  static let resourceExhausted: Int32 = 73
  /// Reading or writing failed.
  static let inputOutput: Int32 = 74
  /// Something is in the way now and may not be later.
  static let conflict: Int32 = 75
  /// Damage was found.
  static let corruption: Int32 = 76
  /// The system denies access.
  static let permission: Int32 = 77
}

/// A reason to stop that is not a `StoreError`.
enum CommandFailure: Error, Sendable, Hashable {
  /// Said in three lines: what happened, where, and what to do about it.
  case stated(Statement)
  /// Nobody reads the output any more: end quietly, by SIGPIPE.
  case brokenPipe
  /// A signal asked for an end: close the store, then end by that signal.
  case interrupted
  /// The data verb's answer is "absent"; one line, unless quiet.
  case absent(String)
}

/// The three lines of an error, and its exit status.
struct Statement: Sendable, Hashable {
  /// The exit status.
  var status: Int32
  /// What happened.
  var what: String
  /// The file, the line, the offset.
  var place: String?
  /// What the user can do.
  var remedy: String?
}

extension CommandFailure {
  /// A record of the input that cannot be read.
  static func badData(_ what: String, at place: String, remedy: String? = nil) -> CommandFailure {
    .stated(Statement(status: ExitStatus.badData, what: what, place: place, remedy: remedy))
  }

  /// Arguments that make no sense together.
  static func usage(_ what: String, remedy: String? = nil) -> CommandFailure {
    .stated(Statement(status: ExitStatus.usage, what: what, remedy: remedy))
  }

  /// An argument, counted from the verb, that is not UTF-8.
  static func argumentNotText(_ place: Int) -> CommandFailure {
    .usage(
      "argument \(place) is not UTF-8",
      remedy: "write such bytes of a key or value as \\xNN, or use --hex or --base64; give a file "
        + "by standard input, and rename a directory")
  }

  /// A system call of the command's own that failed.
  static func system(_ failure: DescriptorFailure, at place: String) -> CommandFailure {
    let status: Int32 =
      switch failure.cause {
      case .absent: ExitStatus.noInput
      case .exists: ExitStatus.conflict
      case .permission: ExitStatus.permission
      case .handlesOrMemory: ExitStatus.resourceExhausted
      case .other: ExitStatus.inputOutput
      }
    let remedy: String? =
      switch failure.cause {
      case .absent: "check the path"
      case .exists: "choose another name, or remove the file"
      case .permission: "check the permissions"
      case .handlesOrMemory: "raise the limit (ulimit -n, ulimit -v), or stop other programs"
      case .other: nil
      }
    return .stated(
      Statement(
        status: status, what: "\(failure.operation) failed: \(failure.message)", place: place,
        remedy: remedy))
  }
}
