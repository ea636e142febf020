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

  /// As ``text(_:)``, with the digits of a second that are not zero; moments before 1970 or beyond
  /// the year 9999 as the number.
  static func text(microseconds: Int64) -> String {
    guard 0..<253_402_300_800_000_000 ~= microseconds else { return "\(microseconds)" }
    let (seconds, rest) = UInt64(microseconds).quotientAndRemainder(dividingBy: 1_000_000)
    let text = text(seconds)
    if rest == 0 { return text }
    var fraction = padded(rest, 6)
    while fraction.last == "0" { fraction.removeLast() }
    return text.dropLast() + ".\(fraction)Z"
  }

  /// Microseconds since 1970-01-01 UTC of a moment that is written as ``text(microseconds:)``
  /// writes it; nil for anything else.
  static func microseconds(_ text: String) -> Int64? {
    let digits = Array(text.utf8)
    func number(_ range: Range<Int>) -> Int64? {
      guard range.upperBound <= digits.count,
        digits[range].allSatisfy({ (0x30...0x39).contains($0) })
      else { return nil }
      return digits[range].reduce(0) { $0 * 10 + Int64($1 - 0x30) }
    }
    guard let year = number(0..<4), let month = number(5..<7), let day = number(8..<10),
      let hour = number(11..<13), let minute = number(14..<16), let second = number(17..<19),
      year >= 1970, 1...12 ~= month, 1...31 ~= day, hour < 24, minute < 60, second < 60
    else { return nil }
    var fraction: Int64 = 0
    if digits.count > 20 {
      guard digits.count <= 27, let value = number(20..<digits.count - 1) else { return nil }
      fraction = (20..<26).reduce(value) { value, place in
        place < digits.count - 1 ? value : value * 10
      }
    }
    // The days before the month, counted from March; an era is 400 years (Hinnant, as above).
    let shifted = month <= 2 ? year - 1 : year
    let yearOfEra = shifted % 400
    let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
    let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
    let days = shifted / 400 * 146_097 + dayOfEra - 719_468
    let seconds = days * 86_400 + hour * 3600 + minute * 60 + second
    let moment = seconds * 1_000_000 + fraction
    // What is wrong with the separators, or with a day that the month does not have, shows here.
    return self.text(microseconds: moment) == text ? moment : nil
  }

  private static func padded(_ value: UInt64, _ width: Int) -> String {
    let digits = String(value)
    return String(repeating: "0", count: max(0, width - digits.count)) + digits
  }
}
