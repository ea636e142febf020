// turbidite-micro — does one operation a given number of times, so that others can count.
//
// Room:    Tools/Micro.
//
// Usage:   turbidite-micro list
//          turbidite-micro NAME COUNT DIRECTORY
//
// Tools/micro runs it. A store is made in DIRECTORY, which must be empty or absent.

import TurbiditeEngine

@main
private enum Micro {
  struct Misuse: Error {
    let words: String
  }

  static func main() throws {
    let words = Array(CommandLine.arguments.dropFirst())
    let all = MicroBenchmark.ofEngine + StoreWork.all
    if words == ["list"] {
      for benchmark in all { print(benchmark.name, benchmark.count) }
      return
    }
    guard words.count == 3, let count = Int(words[1]), count > 0,
      let benchmark = all.first(where: { $0.name == words[0] })
    else { throw Misuse(words: "usage: turbidite-micro list | NAME COUNT DIRECTORY") }
    try benchmark.run(count, words[2])
  }
}
