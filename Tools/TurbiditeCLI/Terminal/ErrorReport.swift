// ErrorReport — an error in three lines: what, where, what to do.
//
// Room:    Tools/TurbiditeCLI.

import Turbidite

extension Statement {
  /// What the command says of a store's error.
  init(_ error: StoreError) {
    status = error.exitStatus
    what = error.description
    place = Statement.place(of: error)
    remedy = Statement.remedy(for: error)
    if case .corrupt(let damage) = error { what = "damaged: \(damage.finding)" }
  }

  private static func place(of error: StoreError) -> String? {
    switch error {
    case .corrupt(let damage): "\(damage.file) at offset \(damage.offset)"
    case .noStore(let path, _), .storeExists(let path), .locked(let path): path
    case .outOfSpace(_, let path, _), .io(_, let path, _), .durabilityLost(_, let path, _),
      .permissionDenied(_, let path, _):
      path.isEmpty ? "the store's directory" : path
    case .unsupportedFormat(let file, _, _): file
    default: nil
    }
  }

  private static func remedy(for error: StoreError) -> String? {
    switch error {
    case .notFound: "check the name; put and load make what is missing with --create"
    case .invalidArgument: "see turbidite help"
    case .noStore: "check the path; put and load make a store with --create"
    case .storeExists: "choose another path"
    case .poisoned: "open the store again: run the command once more"
    case .readOnly: "this verb needs to write"
    case .outOfSpace: "make room on the disk, then run the command again"
    case .resourceExhausted: "raise the limit (see ulimit -a) or free memory"
    case .io: "see the system's log (dmesg): the disk may be failing"
    case .durabilityLost: "check the disk, then read back what was written"
    case .locked:
      "wait until the other process has closed the store, or end it: fuser on the file LOCK lists"
        + " those that have it open, readers too"
    case .permissionDenied: "check who owns the directory and its mode"
    case .corrupt:
      "keep a copy of the directory before anything else; then see turbidite verify and"
        + " turbidite repair"
    case .unsupportedFormat: "use the version of turbidite that wrote it, or a newer one"
    case .outOfSequence: "go on from the event that is next"
    case .configuration: "leave the option out, or make a new store with it"
    default: nil
    }
  }

  /// The three lines; a line with nothing to say is left out.
  func lines(style: Style) -> [String] {
    var lines = ["turbidite: \(style.alarming("error:")) \(Escapes.visible(what))"]
    if let place { lines.append("  where: \(Escapes.visible(place))") }
    if let remedy { lines.append("  to do: \(Escapes.visible(remedy))") }
    return lines
  }
}

extension StoreError {
  /// The fourth line, for `--verbose`: what a program would ask.
  var particulars: String {
    "  class: \(errorClass), retry: \(retry.rawValue), committed: \(outcome.rawValue),"
      + " store: \(storeState.rawValue)"
  }
}
