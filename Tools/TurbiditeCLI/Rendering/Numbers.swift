// Numbers — counts, sizes, rates and times as people read them.
//
// Room:    Tools/TurbiditeCLI.

/// Numbers in words.
///
/// Sizes are decimal: 1 KB is 1,000 bytes, as disks are sold.
enum Numbers {
  /// With a comma between thousands: `63,440`.
  static func grouped(_ value: some BinaryInteger) -> String {
    let text = String(value)
    let digits = text.drop { $0 == "-" }
    var result = ""
    for (index, digit) in digits.enumerated() {
      if index > 0, (digits.count - index) % 3 == 0 { result.append(",") }
      result.append(digit)
    }
    return text.first == "-" ? "-" + result : result
  }

  /// A count with its noun: `1 record`, `2,048 records`.
  static func counted(_ value: some BinaryInteger, _ noun: String) -> String {
    "\(grouped(value)) \(noun)\(value == 1 ? "" : "s")"
  }

  /// A size with one decimal: `50.1 MB`, `812 B`.
  static func byteText(_ value: some BinaryInteger) -> String {
    let bytes = UInt64(clamping: value)
    guard bytes >= 1000 else { return "\(bytes) B" }
    var unit: UInt64 = 1000
    let names = ["KB", "MB", "GB", "TB", "PB", "EB"]
    for (index, name) in names.enumerated() {
      let isLast = index == names.count - 1
      // Half a tenth is added before dividing; a tenth of the smallest unit is 100 bytes.
      let tenth = unit / 10
      let tenths = bytes / tenth + (bytes % tenth >= tenth / 2 ? 1 : 0)
      if tenths < 10_000 || isLast { return "\(tenths / 10).\(tenths % 10) \(name)" }
      unit *= 1000
    }
    return "\(bytes) B"
  }

  /// Bytes in a second.
  static func rate(_ bytes: UInt64, over seconds: Double) -> String {
    guard seconds > 0 else { return "- B/s" }
    let rate = Double(bytes) / seconds
    return byteText(rate < 1e18 ? UInt64(rate) : UInt64.max / 2) + "/s"
  }

  /// Seconds as `0:03`, `12:40` or `3:02:11`.
  static func time(_ seconds: Double) -> String {
    guard seconds >= 0, seconds < 3.6e8 else { return "-" }
    let whole = Int(seconds.rounded(.up))
    func two(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }
    let minutes = whole / 60
    return minutes < 60
      ? "\(minutes):\(two(whole % 60))" : "\(minutes / 60):\(two(minutes % 60)):\(two(whole % 60))"
  }

  /// A duration as a number of seconds.
  static func seconds(_ duration: Duration) -> Double {
    let parts = duration.components
    return Double(parts.seconds) + Double(parts.attoseconds) * 1e-18
  }

  /// A duration with one decimal: `1.2 s`.
  static func elapsed(_ duration: Duration) -> String {
    let tenths = Int((seconds(duration) * 10).rounded())
    return "\(tenths / 10).\(tenths % 10) s"
  }

  /// A ratio with one decimal, or `-` without a divisor.
  static func ratio(_ numerator: UInt64, to denominator: UInt64) -> String {
    guard denominator > 0 else { return "-" }
    let tenths = Int((Double(numerator) / Double(denominator) * 10).rounded())
    return "\(tenths / 10).\(tenths % 10)"
  }

  /// At least `width` hexadecimal digits.
  static func hexadecimal(_ value: some BinaryInteger, width: Int) -> String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: max(0, width - digits.count)) + digits
  }
}
