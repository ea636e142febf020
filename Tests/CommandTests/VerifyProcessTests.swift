import Foundation
import Testing

@testable import TurbiditeCLI

/// The built command, checking and copying stores: what it prints, and how it ends.
@Suite("The command, checking")
struct VerifyProcessTests {
  private static let tool = builtCommand

  private let place: Workplace
  private var store: String { place.file("store") }

  /// A store with a table in each of two shards, and a log.
  init() throws {
    place = try Workplace()
    var text: [UInt8] = []
    var first: [UInt8] = []
    for number in 0..<400 {
      let key = "key\u{1b}\(number)"
      TabSeparated.append(
        Record(key: Array(key.utf8), value: [UInt8](repeating: 0x78, count: 90)),
        encoding: .escaped, to: &text)
      if number == 0 { first = text }
    }
    let filled = try run(["load", store, "-", "--create", "--shards", "2"], input: text)
    #expect(filled.status == 0, "\(filled.error)")
    #expect(try run(["compact", store]).status == 0)
    // What is in tables is not in the log.
    #expect(try run(["load", store, "-"], input: first).status == 0)
  }

  private func run(_ arguments: [String], input: [UInt8] = []) throws -> Outcome {
    try runProgram(VerifyProcessTests.tool, arguments, input: input)
  }

  private func shell(_ line: String) throws -> Outcome {
    try runProgram(
      "/bin/bash", ["-c", "T='\(VerifyProcessTests.tool)'; D='\(place.path)'; \(line)"])
  }

  /// The paths of the store's files of a kind, below its directory.
  private func files(_ kind: String) throws -> [String] {
    let listed = try run(["files", store, "--format", "tsv"]).text
    return listed.split(separator: "\n").compactMap { line in
      let cells = line.split(separator: "\t")
      return cells.count > 1 && cells[1] == kind ? String(cells[0]) : nil
    }
  }

  private func damage(_ file: String, at offset: Int) throws {
    var bytes = try place.read("store/" + file)
    bytes[offset] ^= 0x20
    try place.write(bytes, to: "store/" + file)
  }

  private func objects(_ outcome: Outcome) throws -> [[String: Any]] {
    try outcome.text.split(separator: "\n").map {
      try #require(
        try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])
    }
  }

  @Test("a whole store ends with 0, an empty standard output and one line")
  func clean() throws {
    for arguments in [["verify", store], ["verify", store, "--deep"]] {
      let outcome = try run(arguments)
      #expect(outcome.status == 0)
      #expect(outcome.output.isEmpty)
      #expect(outcome.error.hasPrefix("no damage in "))
      #expect(outcome.error.split(separator: "\n").count == 1)
    }
    #expect(try run(["verify", store, "-q"]).error.isEmpty)
    let object = try #require(try objects(try run(["verify", store, "--json", "--deep"])).first)
    #expect(object["schema"] as? String == "turbidite.verify/1")
    #expect(object["clean"] as? Bool == true)
    #expect(object["entries"] as? Int ?? 0 >= 400)
  }

  @Test("damage ends with 76 and is named by file, offset and keys, in each form")
  func damaged() throws {
    let table = try #require(try files("table").first)
    let manifest = try #require(try files("manifest").first)
    try damage(table, at: 70)
    let quick = try run(["verify", store])
    #expect(quick.status == 0, "a data block is read by --deep alone")
    let deep = try run(["verify", store, "--deep"])
    #expect(deep.status == 76)
    #expect(deep.text.hasPrefix("DAMAGE  \(table)  offset 64, "), "\(deep.text)")
    #expect(deep.text.contains("keys from \"key\\x1b"), "control characters are escaped")
    #expect(!deep.output.contains(0x1b))
    #expect(deep.error.contains("turbidite repair"))
    #expect(deep.error.contains("where: \(store)"))

    try FileManager.default.removeItem(atPath: store + "/" + table)
    try damage(manifest, at: place.read("store/" + manifest).count - 1)
    let found = try objects(try run(["verify", store, "--json"]))
    #expect(found.dropLast().allSatisfy { $0["schema"] as? String == "turbidite.finding/1" })
    #expect(found.last?["schema"] as? String == "turbidite.verify/1")
    #expect(found.contains { $0["file"] as? String == table })
    #expect(found.contains { $0["file"] as? String == manifest })
    let rows = try run(["verify", store, "--format", "tsv"]).text.split(separator: "\n")
    #expect(rows.first?.hasPrefix("severity\tfile\toffset\tbytes\tfinding") == true)
    #expect(
      rows.allSatisfy {
        $0.split(separator: "\t", omittingEmptySubsequences: false).count == 8
      })
  }

  @Test("inspect shows a damaged file as far as it goes, with its bytes when asked")
  func inspectDamage() throws {
    let table = try #require(try files("table").first)
    try damage(table, at: 70)
    let path = store + "/" + table
    let found = try run(["inspect", path, "--blocks", "--entries", "--hex"])
    #expect(found.status == 76)
    #expect(found.text.contains("parts") && found.text.contains("separator"))
    #expect(found.text.contains("  damaged"))
    #expect(found.text.contains("\n00000040  "))
    #expect(found.text.contains("key\\x1b"))
    #expect(!found.output.contains(0x1b))
    let plain = try run(["inspect", path])
    #expect(!plain.text.contains("\n00000040  "))
  }

  @Test("inspect waits for no pipe and shows no device")
  func inspectNoFile() throws {
    let outcome = try shell(
      """
      mkfifo $D/pipe; ln -s $D/store $D/link
      for P in $D/pipe /dev/zero /dev/null $D/store $D/link; do
        timeout 20 $T inspect $P --hexdump 0; echo $?
      done
      """)
    #expect(outcome.text == "64\n64\n64\n64\n64\n", "\(outcome.text) \(outcome.error)")
  }

  @Test("inspect calls a file of the store that is cut to nothing damaged", arguments: [0, 7])
  func inspectShort(_ byteCount: Int) throws {
    for kind in ["table", "log", "manifest"] {
      let file = "store/" + (try #require(try files(kind).first))
      let bytes = try place.read(file)
      try place.write(Array(bytes.prefix(byteCount)), to: file)
      let outcome = try run(["inspect", place.file(file)])
      try place.write(bytes, to: file)
      #expect(outcome.status == 76, "\(outcome.error)")
      #expect(outcome.error.contains("at offset 0"), "\(outcome.error)")
    }
    try place.write([], to: "nothing")
    #expect(try run(["inspect", place.file("nothing")]).status == 64)
  }

  @Test("a copy without permission to write verifies, and nothing in it changes")
  func readOnly() throws {
    let outcome = try shell(
      """
      cp -r "$D/store" "$D/copy"; chmod -R a-w "$D/copy"
      before=$(find "$D/copy" -type f | sort | xargs md5sum; find "$D/copy" | sort)
      "$T" verify "$D/copy" --deep || exit 1
      after=$(find "$D/copy" -type f | sort | xargs md5sum; find "$D/copy" | sort)
      [ "$before" = "$after" ] && echo same
      chmod -R u+w "$D/copy"
      """)
    #expect(outcome.text == "same\n", "\(outcome.error)")
  }

  @Test("files that nothing refers to are notes, and leave the status 0")
  func notes() throws {
    try place.write([1], to: "store/letter")
    let outcome = try run(["verify", store])
    #expect(outcome.status == 0)
    #expect(outcome.text == "note    letter  offset 0, 1 bytes: not a name of ours\n")
    #expect(outcome.error.contains("1 note"))
  }

  @Test(
    "what stands in the place of a file or directory that the store needs is damage",
    arguments: ["LOCK", "RESERVE", "log", "shards", "shards/0000"])
  func misplaced(_ name: String) throws {
    let isDirectory = !["LOCK", "RESERVE"].contains(name)
    var kinds = ["mkfifo $P", "ln -s $D/kept $P", "ln -s /dev/null $P"]
    kinds.append(isDirectory ? "echo text >$P" : "mkdir $P")
    for kind in kinds {
      let outcome = try shell(
        """
        P=$D/store/\(name); mv $P $D/kept 2>/dev/null; \(kind); $T verify $D/store; echo $?
        $T put $D/store key 1 2>/dev/null && echo opened
        rm -rf $P; mv $D/kept $P 2>/dev/null; true
        """)
      #expect(outcome.text.hasSuffix("\n76\n"), "\(kind): \(outcome.text) \(outcome.error)")
      #expect(outcome.text.contains("DAMAGE  \(name)  offset 0: no "), "\(outcome.text)")
    }
    #expect(try run(["verify", store, "--deep"]).status == 0)
  }

  @Test("a store whose manifest is missing is damaged, and no new one is made on top of it")
  func missingManifest() throws {
    let outcome = try shell(
      """
      rm "$D"/store/MANIFEST-*
      find "$D/store" | sort >"$D/before"
      for verb in info stats files "get key" "checkpoint --into $D/copy" "put --create key 1"; do
        set -- $verb; first=$1; shift
        "$T" $first "$D/store" "$@" >>"$D/said" 2>&1; echo $?
      done
      "$T" verify "$D/store"; echo $?
      find "$D/store" | sort | cmp - "$D/before"; ls "$D"
      """)
    let lines = outcome.text.split(separator: "\n")
    #expect(lines.prefix(6).allSatisfy { $0 == "76" }, "\(outcome.text)")
    #expect(outcome.text.contains("DAMAGE  MANIFEST-*  "), "\(outcome.text)")
    #expect(!outcome.text.contains("MANIFEST-000000"))
    #expect(lines.suffix(4) == ["76", "before", "said", "store"], "\(outcome.text)")
    let said = String(decoding: try place.read("said"), as: UTF8.self)
    #expect(said.contains("the store's manifest is missing, but log/"), "\(said)")
    #expect(said.components(separatedBy: "turbidite repair").count == 7, "\(said)")
  }

  @Test("what an interrupted creation leaves is no store, and one can be made there")
  func interruptedCreation() throws {
    let outcome = try shell(
      """
      mkdir -p "$D/new/log" "$D/new/shards/0000"; : > "$D/new/LOCK"; : > "$D/new/MANIFEST-000001.new"
      "$T" info "$D/new"; echo $?; "$T" verify "$D/new"; echo $?
      "$T" put --create "$D/new" key 1; echo $?; "$T" get "$D/new" key
      """)
    #expect(outcome.text == "66\n66\n0\n1\n", "\(outcome.text) \(outcome.error)")
  }

  @Test(
    "a live table of another size or kind is damage to info and checkpoint, which read none",
    arguments: [": >", "truncate -s 100", "truncate -s +1", "rm", "rm F; mkdir", "rm F; mkfifo"])
  func misshapenTable(_ harm: String) throws {
    let table = try #require(try files("table").first)
    let line = harm.replacingOccurrences(of: "F;", with: "$F;")
    let outcome = try shell(
      """
      F="$D/store/\(table)"; \(line) "$F"
      for verb in info "checkpoint --into $D/copy"; do
        set -- $verb; first=$1; shift
        timeout 20 "$T" $first "$D/store" "$@" >/dev/null; echo $?
      done; ls "$D"
      """)
    #expect(outcome.text == "76\n76\nstore\n", "\(outcome.text) \(outcome.error)")
    #expect(
      outcome.error.components(separatedBy: "where: \(table) at offset").count == 3,
      "\(outcome.error)")
  }

  @Test("what is no store is no damage")
  func noStore() throws {
    #expect(try run(["verify", place.file("absent")]).status == 66)
    #expect(try run(["verify", place.path]).status == 66)
    #expect(try run(["verify"]).status == 64)
  }

  @Test(
    "a signal ends a verification with its status", arguments: [("INT", Int32(2)), ("TERM", 15)])
  func signal(name: String, number: Int32) throws {
    // More findings than a pipe holds: the command cannot have ended before the first is read.
    let outcome = try shell(
      """
      set -m
      long=$(printf 'x%.0s' {1..200})
      for i in {1..1500}; do : > "$D/store/$long$i"; done
      mkfifo "$D/pipe"
      "$T" verify "$D/store" >"$D/pipe" 2>"$D/said" & child=$!
      exec 7<"$D/pipe"
      read -r line <&7
      kill -\(name) $child
      cat <&7 >"$D/rest"
      wait $child; echo $?
      cat "$D/said" >&2
      """)
    #expect(outcome.text == "\(128 + number)\n", "\(outcome.error)")
    #expect(!outcome.error.contains("no damage"))
  }

  @Test("a reader that goes away ends a verification quietly")
  func brokenPipe() throws {
    let outcome = try shell(
      """
      for i in {1..2000}; do : > "$D/store/stray-with-a-long-name-$i"; done
      "$T" verify "$D/store" | head -n 1 >/dev/null; echo ${PIPESTATUS[0]}
      """)
    #expect(outcome.text == "141\n")
    #expect(outcome.error.isEmpty, "\(outcome.error)")
  }

  /// The first table's damage cannot be said before the reader has made room, and by then it is
  /// time to show how far the verification is.
  @Test("progress is shown when it is asked for, each time on a line of its own")
  func progress() throws {
    for table in try files("table") { try damage(table, at: 100) }
    let outcome = try shell(
      """
      mkfifo "$D/pipe"
      exec 7<>"$D/pipe"
      head -c 65536 /dev/zero >&7
      "$T" verify "$D/store" --deep --progress on >"$D/pipe" 2>"$D/said" & child=$!
      # Until the child's main thread waits in a call on its standard output.
      until read -r call file rest <"/proc/$child/syscall" && [ "$file" = 0x1 ]; do :; done
      sleep 1.1
      head -c 65536 <&7 >/dev/null
      wait $child; echo $?
      cat "$D/said" >&2
      """)
    #expect(outcome.text == "76\n", "\(outcome.error)")
    let lines = outcome.error.split(separator: "\n").filter { $0.hasPrefix("verify  [") }
    #expect(!lines.isEmpty, "\(outcome.error)")
    #expect(lines.allSatisfy { $0.contains(" %  ") && $0.contains(" file") }, "\(lines)")
  }

  // MARK: - Checkpoints

  @Test("a checkpoint holds what the store does, shares its tables, and goes its own way")
  func checkpoint() throws {
    let copy = place.file("copy")
    let outcome = try run(["checkpoint", store, "--into", copy])
    #expect(outcome.status == 0, "\(outcome.error)")
    #expect(outcome.output.isEmpty)
    #expect(outcome.error.hasPrefix("checkpoint \(copy): "))
    #expect(try run(["verify", copy, "--deep"]).status == 0)
    #expect(try run(["scan", copy]).output == run(["scan", store]).output)
    let table = try #require(try files("table").first)
    let links = try FileManager.default.attributesOfItem(atPath: copy + "/" + table)
    #expect(links[.referenceCount] as? Int == 2)
    #expect(try run(["rm", copy, "--prefix", "key"]).status == 0)
    #expect(try run(["compact", copy]).status == 0)
    #expect(try run(["scan", copy, "--count"]).text == "0\n")
    #expect(try run(["scan", store, "--count"]).text == "400\n")
    #expect(try run(["verify", store, "--deep"]).status == 0)

    let again = try run(["checkpoint", store, "--into", copy])
    #expect(again.status == 75)
    #expect(try run(["scan", copy, "--count"]).text == "0\n")
    let json = try run(["checkpoint", store, "--into", place.file("third"), "--json"])
    let object = try #require(try objects(json).first)
    #expect(object["schema"] as? String == "turbidite.checkpoint/1")
    #expect(object["linked_bytes"] as? Int ?? 0 > 0)
  }

  @Test("a checkpoint onto another disk is a copy")
  func otherDisk() throws {
    let directory = "/dev/shm"
    let here = try FileManager.default.attributesOfFileSystem(forPath: place.path)
    guard
      let there = try? FileManager.default.attributesOfFileSystem(forPath: directory),
      here[.systemNumber] as? Int != there[.systemNumber] as? Int
    else {
      print("checkpoint onto another disk: skipped, \(directory) is not another one")
      return
    }
    let copy = "\(directory)/turbidite-\(UUID().uuidString)"
    defer { try? FileManager.default.removeItem(atPath: copy) }
    let outcome = try run(["checkpoint", store, "--into", copy, "--json"])
    #expect(outcome.status == 0, "\(outcome.error)")
    #expect(try objects(outcome).first?["linked_bytes"] as? Int == 0)
    #expect(try run(["verify", copy, "--deep"]).status == 0)
    #expect(try run(["scan", copy]).output == run(["scan", store]).output)
  }

  @Test("a checkpoint beside a live writer holds what was committed there")
  func liveCheckpoint() throws {
    let outcome = try shell(
      """
      mkfifo "$D/pipe"
      "$T" load "$D/store" "$D/pipe" --as tsv & child=$!
      exec 7>"$D/pipe"
      printf 'a\\t1\\n' >&7
      # The store is open for writing once a second writer is refused.
      until "$T" put "$D/store" b 1 2>"$D/said"; s=$?; [ $s -eq 75 ]; do :; done
      "$T" checkpoint "$D/store" --into "$D/copy" -q; echo $?
      "$T" verify "$D/copy" --deep -q; echo $?
      "$T" verify "$D/store" --deep -q; echo $?
      exec 7>&-
      wait $child; echo $?
      "$T" put "$D/copy" mine 1; "$T" scan "$D/copy" --prefix key --count
      """)
    #expect(outcome.text == "0\n0\n0\n0\n400\n", "\(outcome.text) \(outcome.error)")
    let said = String(decoding: try place.read("said"), as: UTF8.self)
    #expect(said.contains("fuser on the file LOCK"), "\(said)")
  }

  @Test("a checkpoint of what is no store, or to where none can be, is refused")
  func refusals() throws {
    #expect(try run(["checkpoint", place.file("absent"), "--into", place.file("c")]).status == 66)
    #expect(try run(["checkpoint", store, "--into", place.file("absent/c")]).status == 66)
    #expect(try run(["checkpoint", store, "--into", "."]).status == 64)
    #expect(try run(["checkpoint", store]).status == 64)
  }

  @Test(
    "a target in the store is refused before anything is made, whatever path leads there",
    arguments: ["store/inside", "store/log/x", "link/x", "link/../x", "store/log/../../store/x"])
  func targetInside(_ target: String) throws {
    try FileManager.default.createSymbolicLink(
      atPath: place.file("link"), withDestinationPath: "store/log")
    let before = try shell("find $D | sort").text
    for verb in ["checkpoint", "repair"] {
      let outcome = try run([verb, store, "--into", place.file(target)])
      #expect(outcome.status == 64, "\(verb): \(outcome.error)")
      #expect(outcome.error.contains("lies in the store"), "\(outcome.error)")
    }
    #expect(try shell("find $D | sort").text == before)
    #expect(try run(["checkpoint", store, "--into", store + "-beside"]).status == 0)
  }

  @Test("a repair says what it will save, saves it, and leaves the damaged store alone")
  func repair() throws {
    let whole = try run(["repair", store, "--plan"])
    #expect(whole.status == 0 && whole.text.contains("whole   shards/0000/"), "\(whole.error)")
    let records = try run(["scan", store]).output
    let table = try #require(try files("table").first)
    try damage(table, at: 500)
    for segment in try files("log") {
      try FileManager.default.removeItem(atPath: "\(store)/\(segment)")
    }
    let before = try shell("cd $D/store; find . -type f | sort | xargs sha256sum").text
    let copy = place.file("copy")
    let planned = try run(["repair", store, "--plan", "--into", copy])
    #expect(planned.status == 76 && planned.text.contains("lost: offset"), "\(planned.text)")
    #expect(planned.error.contains("the repair counts the keys that it saves"), "\(planned.error)")
    #expect(!FileManager.default.fileExists(atPath: copy))
    let repaired = try run(["repair", store, "--into", copy, "--json"])
    #expect(repaired.status == 76, "\(repaired.error)")
    let told = try objects(repaired)
    #expect(told.first?["complete"] as? Bool == false)
    for document in told {
      #expect(document["commits_lost"] as? Bool == true)
      #expect(document["uncertain_keyspaces"] as? [String] == [])
    }
    #expect(repaired.error.contains("are lost: older values of the keys they changed may show"))
    let count = try #require(told.last?["entries"] as? Int)
    #expect(count > 300 && count < 400)
    #expect(try run(["verify", copy, "--deep"]).status == 0)
    let saved = Set(try run(["scan", copy]).text.split(separator: "\n"))
    #expect(saved.count == count)
    #expect(
      saved.isSubset(of: Set(String(decoding: records, as: UTF8.self).split(separator: "\n"))))
    #expect(try shell("cd $D/store; find . -type f | sort | xargs sha256sum").text == before)
    #expect(try run(["repair", store, "--into", copy]).status == 75)
    #expect(try run(["repair", store]).status == 64)
    #expect(try run(["repair", place.file("absent"), "--plan"]).status == 66)
  }
}
