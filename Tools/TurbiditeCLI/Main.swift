import ArgumentParser

@main
struct TurbiditeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(commandName: "turbidite")
}
