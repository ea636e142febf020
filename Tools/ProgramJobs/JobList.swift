// JobList — the jobs that lie in a directory, begun or done.
//
// Room:    ProgramJobs.

import Turbidite
import TurbiditeEngine
import TurbiditeSystem

/// A job that lies in a directory.
package struct ListedJob: Sendable {
  package enum State: String, Sendable {
    /// Another process works on it.
    case running
    /// It was begun, and may go on.
    case unfinished
    /// Its results are out; its list of records that were set aside is here.
    case finished
  }

  package var id: String
  package var state: State
  package var definition: JobDefinition?
  /// Tasks that are done, and where they are known, all of them.
  package var finishedCount: Int
  package var taskCount: Int?
  /// Records that were set aside.
  package var quarantinedCount: Int
}

/// The jobs below a directory, by their names; none where there is no directory.
package func listJobs(below jobs: String) throws(JobStop) -> [ListedJob] {
  var names: [String] = []
  do throws(SystemError) { names = try PosixFileSystem.openRoot(jobs).list("") } catch {
    if error.isAbsent { return [] }
    throw .store(named(error, below: jobs))
  }
  var list: [ListedJob] = []
  for name in names {
    do throws(SystemError) {
      let fileSystem = try PosixFileSystem.openRoot("\(jobs)/\(name)")
      list.append(try listed(name, fileSystem))
    } catch {
      // What is no directory is no job, and one may go meanwhile.
      if error.isAbsent || error.isNotDirectory { continue }
      throw .store(named(error, below: "\(jobs)/\(name)"))
    }
  }
  return list
}

private func listed(
  _ id: String, _ fileSystem: PosixFileSystem
) throws(SystemError) -> ListedJob {
  let files = try fileSystem.list("")
  var isRunning = false
  if files.contains(JobDirectory.lockName) {
    let lock = try fileSystem.open(JobDirectory.lockName, .read)
    isRunning = try lock.isLockedElsewhere(from: 0, to: 1)
  }
  let isFinished = files.contains(JobDirectory.finishedName)
  var job = ListedJob(
    id: id, state: isRunning ? .running : isFinished ? .finished : .unfinished,
    finishedCount: files.count { $0.hasSuffix(TaskName.finishedSuffix) }, quarantinedCount: 0)
  // What cannot be read is told as a job without a definition.
  let name = isFinished ? JobDirectory.finishedName : JobDirectory.definitionName
  do throws(StoreError) {
    if let fields = try TextFile.read(name, in: fileSystem) {
      job.definition = JobDefinition(fields)
    }
    if let cuts = try TextFile.read(JobDirectory.cutsName, in: fileSystem) {
      job.taskCount = cuts.count + 1 + (job.definition?.reducerCount ?? 0)
    }
    job.quarantinedCount =
      try TextFile.read(JobDirectory.quarantineName, in: fileSystem)?.count ?? 0
  } catch {
    job.definition = nil
  }
  return job
}

/// Removes a job, and what it had done.
///
/// - Throws: ``JobStop/busy(_:)`` when somebody works on it, ``JobStop/refused(_:)`` when there is
///   none of that name.
package func removeJob(_ id: String, below jobs: String) throws(JobStop) {
  guard try listJobs(below: jobs).contains(where: { $0.id == id }) else {
    throw .refused("there is no job \(id)")
  }
  let directory = try JobDirectory(id, below: jobs)
  do throws(StoreError) {
    do throws(StoreError) {
      if let definition = try directory.definition() {
        try JobResults.removeUnfinished(of: definition)
      }
    } catch {
      // A definition that is damaged names no place, and is no reason to keep the job.
      guard case .corrupt = error else { throw error }
    }
    try directory.removeAll()
  } catch { throw .store(error) }
}
