// OpenStore — a store for the time of a verb, closed however the verb ends.
//
// Room:    Tools/TurbiditeCLI.

import Turbidite

/// Opens the store at `path`, runs `body`, and closes the store.
///
/// - Throws: What `body` threw; the close's own error only when `body` succeeded, since the first
///   failure is the one to act on.
func withStore<Result>(
  at path: String, mode: Store.Mode, options: Store.Options = Store.Options(),
  _ body: (Store) throws -> Result
) throws -> Result {
  let store = try Store.Blocking.open(at: path, mode: mode, options: options)
  let result: Result
  do {
    try Signals.check()
    result = try body(store)
  } catch {
    do throws(StoreError) {
      try store.blocking.close()
    } catch let closing {
      Console.write("turbidite: closing the store failed as well: \(closing.description)\n")
    }
    throw error
  }
  try store.blocking.close()
  return result
}

/// Opens the store at `path` for reading: nothing in its directory is written.
func withReadOnlyStore<Result>(
  at path: String, _ body: (Store) throws -> Result
) throws
  -> Result
{
  try withStore(at: path, mode: .readOnly, body)
}
