// PythonEnvironment — the tools from PyPI, in a virtual environment of the benchmarks' own.
//
// Room:    Benchmarks.
// Limits:  Made once and kept; `rm -r Benchmarks/.build/jobs-venv` brings the newest versions.

import Glibc

/// Where Python and the scripts are, from the root of the repository.
enum PythonEnvironment {
  private static let directory = "Benchmarks/.build/jobs-venv"
  static let python = directory + "/bin/python"
  static let scripts = "Benchmarks/Jobs"

  /// The version of a package, which is installed when it is not there; an error says why not.
  static func version(of package: String, log: String) throws -> String {
    if access(directory + "/bin/pip", X_OK) != 0 {
      _ = try measureProcess(["python3", "-m", "venv", "--clear", directory], log: log)
    }
    let question = [
      python, "-c",
      "import importlib.metadata, \(package)\n"
        + "print(importlib.metadata.version('\(package)'))",
    ]
    do {
      _ = try measureProcess(question, log: log)
    } catch {
      // Not there, or not whole.
      complain("jobs: installs \(package) into \(directory)")
      let install = [
        python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", package,
      ]
      _ = try measureProcess(install, log: log)
      _ = try measureProcess(question, log: log)
    }
    return String(contents(ofFile: log).split(separator: "\n").last ?? "?")
  }
}
