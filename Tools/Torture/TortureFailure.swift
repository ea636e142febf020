// TortureFailure — what a proof found wrong, in words.
//
// Room:    Tools/Torture.

/// A store that does not hold what it must, or a harness that could not do its work.
package struct TortureFailure: Error, Sendable, CustomStringConvertible {
  package var description: String

  package init(_ description: String) { self.description = description }
}

/// Throws `finding` unless `condition` holds.
func require(_ condition: Bool, _ finding: @autoclosure () -> String) throws(TortureFailure) {
  if !condition { throw TortureFailure(finding()) }
}
