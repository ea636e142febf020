// Numbers — numbers and lines as people read them.
//
// Room:    Tools/Demo.

import Foundation

/// Prints a line at once, so that a process that is killed has said what it knew.
func say(_ text: String) { FileHandle.standardOutput.write(Data((text + "\n").utf8)) }

/// Thousands apart: 1,234,567.
func grouped(_ number: Int) -> String {
  var text = ""
  for (index, digit) in String(number).reversed().enumerated() {
    if index > 0, index % 3 == 0, digit != "-" { text.append(",") }
    text.append(digit)
  }
  return String(text.reversed())
}

/// One digit behind the point.
func oneDecimal(_ number: Double) -> String {
  let tenths = Int((number * 10).rounded())
  return "\(tenths / 10).\(tenths % 10)"
}

/// With blanks in front.
func padLeft(_ text: String, _ count: Int) -> String {
  String(repeating: " ", count: max(0, count - text.count)) + text
}
