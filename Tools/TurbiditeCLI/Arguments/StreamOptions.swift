// StreamOptions — how the place in a stream, an age and a size are written.
//
// Room:    Tools/TurbiditeCLI.

import ArgumentParser
import Turbidite

/// Where `tail` begins.
enum TailPlace: Hashable, Sendable, ExpressibleByArgument {
  case start
  case end
  case offset(UInt64)
  /// Microseconds since 1970-01-01 UTC.
  case time(Int64)

  init?(argument: String) {
    switch argument {
    case "start": self = .start
    case "end": self = .end
    default:
      if let offset = UInt64(argument) {
        self = .offset(offset)
      } else if let moment = Moment.microseconds(argument) {
        self = .time(moment)
      } else {
        return nil
      }
    }
  }
}

/// A number and a letter for the unit.
private func scaled(_ text: String, _ units: [Character: Int]) -> Int? {
  guard let last = text.last, let unit = units[last],
    let number = Int(text.dropLast()), number >= 0
  else { return nil }
  let (product, overflows) = number.multipliedReportingOverflow(by: unit)
  return overflows ? nil : product
}

/// A span of time: `90s`, `15m`, `24h`, `7d`.
struct Age: Hashable, Sendable, ExpressibleByArgument {
  var duration: Duration

  init?(argument: String) {
    guard let seconds = scaled(argument, ["s": 1, "m": 60, "h": 3600, "d": 86_400]) else {
      return nil
    }
    duration = .seconds(seconds)
  }
}

/// A number of bytes: `500000`, `64K`, `10M`, `2G`; the units are powers of 1024.
struct ByteSize: Hashable, Sendable, ExpressibleByArgument {
  var byteCount: Int

  init?(argument: String) {
    let units: [Character: Int] = ["K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40]
    if let number = Int(argument), number >= 0 {
      byteCount = number
    } else if let number = scaled(argument, units) {
      byteCount = number
    } else {
      return nil
    }
  }
}
