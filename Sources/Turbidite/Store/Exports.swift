// Exports — the engine's vocabulary that users of the library hold in their hands.
//
// Room:    Turbidite/Store.

@_exported public import enum TurbiditeEngine.CommitOutcome
@_exported public import struct TurbiditeEngine.Damage
@_exported public import enum TurbiditeEngine.Partitioning
@_exported public import enum TurbiditeEngine.RetryAdvice
@_exported public import enum TurbiditeEngine.StoreError
@_exported public import enum TurbiditeEngine.StoreState

/// The version of the format that this library writes.
public let formatVersion: UInt32 = 1

/// The version of this library.
public let libraryVersion = "0.1.0"
