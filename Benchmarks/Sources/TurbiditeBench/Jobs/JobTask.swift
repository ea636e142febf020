// JobTask — what is computed, from which file, and where the files of a run lie.
//
// Room:    Benchmarks.

/// A map and a reduction.
enum JobTask: String, CaseIterable, Codable, Sendable {
  /// How often each word stands in the text.
  case wordCount = "wordcount"
  /// The sum of the numbers that stand beside each word.
  case groupSum = "groupsum"

  var title: String {
    switch self {
    case .wordCount: "word count"
    case .groupSum: "group-by-sum"
    }
  }

  /// Of the input, among the data.
  var fileName: String {
    switch self {
    case .wordCount: "words.txt"
    case .groupSum: "sums.tsv"
    }
  }
}

/// Where a job finds what it reads, and leaves what it makes.
struct JobPaths: Sendable {
  /// The text, or the lines `word TAB number`.
  var input: String
  /// A directory that is empty before `prepare`, and lasts from there to the end of the last step.
  var store: String
  /// What is compared: lines `key TAB value`, in any order.
  var output: String
}
