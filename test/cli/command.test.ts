/** Exit codes, what is printed, and what is passed on. */
import Database from "better-sqlite3"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { cli } from "../../src/cli/cli.js"
import { eventually, type Place, place } from "../support/command.js"

let at: Place
beforeAll(() => {
  at = place()
})
afterAll(() => at.clear())

/** A lock that is held until the test has looked. */
const held = async (lock: string, look: () => Promise<void>, ...flags: ReadonlyArray<string>) => {
  const [begun, stop] = [Path.join(at.folder, `${lock}.begun`), Path.join(at.folder, `${lock}.stop`)]
  const command = `echo "$STORAGE_LOCK_TOKEN $STORAGE_LOCK_ID $STORAGE_LOCK_OWNER" > ${begun}; while [ ! -e ${stop} ]; do sleep 0.02; done`
  const running = at.start(["run", ...flags, lock, "--", "sh", "-c", command])
  try {
    await eventually(() => Fs.existsSync(begun) && Fs.readFileSync(begun, "utf8").endsWith("\n"))
    await look()
  } finally {
    Fs.writeFileSync(stop, "")
  }
  return { ...(await running.ended), told: Fs.readFileSync(begun, "utf8").trim().split(" ") }
}

describe("storage-lock run", () => {
  it("ends as its command does, and passes on what that prints", async () => {
    const ended = await at.run(["run", "a", "--", "sh", "-c", "echo out; echo err >&2; exit 3"])
    assert.deepStrictEqual(ended, { code: 3, out: "out\n", err: "err\n" })
  })

  it("tells which signal ended its command", async () => {
    assert.strictEqual((await at.run(["run", "a", "--", "sh", "-c", "kill -9 $$"])).code, 137)
  })

  it("keeps others out, tells its command what it holds, and gives it back", async () => {
    const { code, told } = await held(
      "b",
      async () => {
        const tried = await at.run(["run", "--try", "b", "--", "true"])
        assert.strictEqual(tried.code, 75)
        assert.match(tried.err, /somebody else has the lock: the nightly job/)
        const waited = await at.run(["run", "--wait", "300ms", "b", "--", "true"])
        assert.strictEqual(waited.code, 75)
        assert.match(waited.err, /waited .* held by the nightly job/)
        assert.strictEqual((await at.run(["run", "--owner", "me", "b", "--", "true"])).code, 0)
      },
      "--label",
      "the nightly job",
      "--owner",
      "me"
    )
    assert.strictEqual(code, 0)
    assert.isAbove(Number(told[0]), 0)
    assert.deepStrictEqual(told.slice(1), ["b", "me"])
    assert.strictEqual((await at.run(["get", "b"])).code, 1)
  })

  it("says what cannot be run, as shells do", async () => {
    assert.strictEqual((await at.run(["run", "a", "--", "no-such-command"])).code, 127)
    const file = Path.join(at.folder, "no-program")
    Fs.writeFileSync(file, "", { mode: 0o644 })
    assert.strictEqual((await at.run(["run", "a", "--", file])).code, 126)
    assert.strictEqual((await at.run(["get", "a"])).code, 1)
  })

  it("ends its command after --hold-at-most", async () => {
    for (const lease of ["6s", "30s"]) {
      const began = performance.now()
      const ended = await at.run(["run", "--hold-at-most", "3s", "--lease", lease, "c", "--", "sleep", "60"])
      assert.strictEqual(ended.code, 70, ended.err)
      assert.include(ended.err, "the command was ended: --hold-at-most was nearly over")
      // Not at once, though more than that would be the grace of so long a lease.
      assert.isAbove(performance.now() - began, 2_000)
    }
    const wrong = await at.run(["run", "--hold-at-most", "1s", "--grace", "600ms", "c", "--", "true"])
    assert.strictEqual(wrong.code, 64)
    assert.include(wrong.err, "--grace must be at most half of --hold-at-most, which is 1000 ms")
  })

  it("passes signals on, also to what waits for a lock", async () => {
    const running = at.start([
      "run",
      "d",
      "--",
      "sh",
      "-c",
      "trap 'echo got it; exit 5' INT; echo ready; while :; do sleep 0.02; done"
    ])
    let out = ""
    running.process.stdout!.on("data", (data: Buffer) => (out += String(data)))
    await eventually(() => out.includes("ready"))
    const waiting = at.start(["run", "d", "--", "true"])
    // It has to be up before it can be told anything.
    await new Promise((resolve) => setTimeout(resolve, 2_000))
    waiting.process.kill("SIGTERM")
    assert.strictEqual((await waiting.ended).code, 143)
    running.process.kill("SIGINT")
    assert.deepInclude(await running.ended, { code: 5, out: "ready\ngot it\n" })
  })
})

describe("what operators ask", () => {
  it("list, get, watch and release", async () => {
    await held("e", async () => {
      const listed = await at.run(["list"])
      assert.match(
        listed.out,
        /^LOCK +HOLDER +SINCE +LEASE UNTIL +TOKEN +HELD AS\ne +\S+ pid \d+ +\d{4}-.*Z +\d{4}-.*Z +\d+ +exclusive\n$/
      )
      const json = JSON.parse((await at.run(["list", "--json"])).out) as Record<string, unknown>
      assert.deepInclude(json, { lockId: "e", kind: "exclusive", lockCount: 1 })
      assert.notProperty(json, "holders")
      assert.strictEqual((await at.run(["get", "e", "--json"])).code, 0)
      assert.match((await at.run(["watch", "--count", "1"])).out, /held {2}e {2}.* token \d+\n$/)
      const wrong = await at.run(["release", "e", "--token", "1"])
      assert.deepStrictEqual([wrong.code, wrong.out], [1, ""])
      assert.match(wrong.err, /over already/)
      assert.strictEqual((await at.run(["release", "e"])).code, 64)
      const right = await at.run(["release", "e", "--token", String(json["token"])])
      assert.strictEqual(right.code, 0)
      assert.match(right.out, /free when its lease ends, at 2/)
      assert.match((await at.run(["get", "e"])).out, /\(revoked\)/)
      const tried = await at.run(["run", "--try", "e", "--", "true"])
      assert.match(tried.err, /: \(revoked, and blocked until \d{4}-.*Z\)/)
    })
    assert.deepStrictEqual(await at.run(["list", "--namespace", "another"]), {
      code: 0,
      out: "",
      err: "storage-lock: nobody holds a lock\n"
    })
  })

  it("makes no file for who only looks", async () => {
    const missing = Path.join(Path.dirname(at.database), "misspelt.db")
    for (const args of [["list"], ["get", "a"], ["watch", "--count", "1"], ["release", "a", "--token", "1"]]) {
      const { code, err } = await within(args, { STORAGE_LOCK_URL: `sqlite:${missing}` })
      assert.strictEqual(code, 69, args.join())
      assert.match(err, /there is no file/)
    }
    assert.isFalse(Fs.existsSync(missing))
  })

  it("does not let the ids of others draw on the terminal", async () => {
    await held("f\u001b[2J", async () => {
      assert.include((await at.run(["list"])).out, "f\\u{1b}[2J ")
    })
  })

  it("ddl prints what sqlite needs, and says where nothing is needed", async () => {
    const { out } = await at.run(["ddl", "-o", "table=jobs"])
    new Database(":memory:").exec(out)
    assert.include(out, "jobs")
    assert.match((await at.run(["ddl", "redis://localhost"])).err, /needs nothing/)
  })

  it("doctor finds nothing wrong where nothing is, and says what is", async () => {
    const well = await at.run(["doctor", "--json"])
    const steps = well.out
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as { readonly severity?: string })
      .slice(0, -1)
    assert.isAbove(steps.length, 7)
    assert.isTrue(
      steps.every(({ severity }) => severity !== "error"),
      well.out
    )
    const gone = await at.run(["doctor", "redis://127.0.0.1:1"])
    assert.strictEqual(gone.code, 1)
    assert.match(gone.out, /^error +connects +.*refused.*\n1 error: /is)
    assert.strictEqual((await at.run(["doctor", "ftp://x"])).code, 64)
  })
})

/** In this process, which is quicker. */
const within = async (args: ReadonlyArray<string>, env: NodeJS.ProcessEnv) => {
  const lines = { out: "", err: "" }
  const code = await cli(args, {
    env: { STORAGE_LOCK_URL: `sqlite:${at.database}`, ...env },
    out: (line) => (lines.out += `${line}\n`),
    err: (line) => (lines.err += `${line}\n`),
    draw: undefined,
    signal: new AbortController().signal,
    onSignal: () => () => {}
  })
  return { code, ...lines }
}

describe("a command line that is wrong", () => {
  const cases: ReadonlyArray<readonly [string, ReadonlyArray<string>, NodeJS.ProcessEnv, RegExp]> = [
    ["an unknown command", ["lst"], {}, /there is no command "lst"; there are: run, list/],
    ["an unknown flag", ["list", "--jsn"], {}, /'--jsn'[^]*Usage: storage-lock list/],
    ["no URL", ["list"], { STORAGE_LOCK_URL: "" }, /no URL: give one/],
    ["an unknown scheme", ["list", "ftp://x"], {}, /postgres:.*ftp:/],
    ["a secret that all can read", ["list", "redis://:hunter2@h"], {}, /everybody on this machine can read arguments/],
    ["two URLs", ["list", "redis://h", "--url-env", "X"], {}, /give the URL once/],
    ["an empty variable", ["list", "--url-env", "X"], {}, /no URL in \$X/],
    ["a file that is not there", ["list", "--url-file", "/no/such"], {}, /--url-file cannot be read/],
    ["no lock", ["run", "--", "true"], {}, /which lock\?/],
    ["no command to run", ["run", "a"], {}, /behind --/],
    ["a time that is none", ["run", "--wait", "soon", "a", "--", "true"], {}, /--wait must be a time/],
    ["too long a grace", ["run", "--grace", "20s", "a", "--", "true"], {}, /--grace must be at most half/],
    ["try and wait", ["run", "--try", "--wait", "1s", "a", "--", "true"], {}, /one of --try and --wait/],
    ["an option that the storage does not have", ["list", "-o", "tabel=x"], {}, /tabel/],
    ["an option without a value", ["list", "-o", "table"], {}, /NAME=VALUE/],
    ["an id that cannot be", ["get", ""], {}, /lockId/],
    ["two locks", ["get", "a", "b"], {}, /one lock/]
  ]
  for (const [what, args, env, says] of cases) {
    it(`${what}: exit code 64, and a word that helps`, async () => {
      const { code, err, out } = await within(args, env)
      assert.deepStrictEqual([code, out], [64, ""], err)
      assert.match(err, says)
      assert.notInclude(err, "hunter2")
      assert.notMatch(err, /\n {4}at /)
    })
  }

  it("a storage that cannot be reached, or a driver that is missing, is 69", async () => {
    const { code, err } = await at.run(["list", "redis://127.0.0.1:1"])
    assert.strictEqual(code, 69)
    assert.notMatch(err, /\n {4}at /)
  })
})

describe("help and completion", () => {
  it("help names every command, and the help of a command every flag", async () => {
    const { out } = await at.run([])
    for (const name of ["run", "list", "get", "watch", "release", "ddl", "doctor", "completion"])
      assert.include(out, name)
    assert.include((await at.run(["run", "--help"])).out, "--hold-at-most TIME")
    assert.match((await at.run(["--version"])).out, /^\d+\.\d+\.\d+/)
  })

  it("bash completes commands and flags", async () => {
    const { out } = await at.run(["completion", "bash"])
    const file = Path.join(at.folder, "completion.sh")
    Fs.writeFileSync(
      file,
      `${out}\ncomplete_() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); _storage_lock; echo "\${COMPREPLY[@]}"; }\ncomplete_ storage-lock li\ncomplete_ storage-lock run --gr\n`
    )
    const { execFileSync } = await import("node:child_process")
    assert.strictEqual(execFileSync("bash", [file], { encoding: "utf8" }), "list\n--grace\n")
  })
})
