// Moment — seconds since 1970 as a date that a person reads.
//
// Room:    Tools/TurbiditeCLI.
// Source:  Days to year, month and day: Howard Hinnant, "chrono-Compatible Low-Level Date
//          Algorithms", `civil_from_days`.

/// A moment by the clock, in UTC.
enum Moment {
  private static let secondsPerDay: UInt64 = 86_400

  /// As ISO 8601 has it: `2026-11-23T16:30:05Z`.
  static func text(_ secondsSince1970: UInt64) -> String {
    let (days, second) = secondsSince1970.quotientAndRemainder(dividingBy: secondsPerDay)
    // Years begin in March, so that the day that may be missing is their last; an era is 400 years.
    let shifted = days + 719_468
    let (era, dayOfEra) = shifted.quotientAndRemainder(dividingBy: 146_097)
    let yearOfEra =
      (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let monthFromMarch = (5 * dayOfYear + 2) / 153
    let day = dayOfYear - (153 * monthFromMarch + 2) / 5 + 1
    let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
    let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    let date = "\(padded(year, 4))-\(padded(month, 2))-\(padded(day, 2))"
    let (hour, rest) = second.quotientAndRemainder(dividingBy: 3600)
    return "\(date)T\(padded(hour, 2)):\(padded(rest / 60, 2)):\(padded(rest % 60, 2))Z"
  }

  private static func padded(_ value: UInt64, _ width: Int) -> String {
    let digits = String(value)
    return String(repeating: "0", count: max(0, width - digits.count)) + digits
  }
}
