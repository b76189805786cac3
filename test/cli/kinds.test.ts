/** Locks that several may hold, on the command line and in the console: on SQLite, PostgreSQL, and etcd, which has no clock. */
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { Ajv2020 } from "ajv/dist/2020.js"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { cli } from "../../src/cli/cli.js"
import type { LockLost } from "../../src/promise/index.js"
import { connect, type Lock, type Locks, type StorageOptions } from "../../src/promise/index.js"
import { describeServer } from "../harness/server.js"
import * as Shared from "../harness/shared.js"
import { type Place, place } from "../support/command.js"
import { ask, type Console, listen, lockAt, release, start } from "../support/console.js"
import { rejected } from "../support/promises.js"
import * as unhandled from "../support/unhandled.js"

unhandled.refused()

const folder = Fs.mkdtempSync(Path.join(Os.tmpdir(), "storage-lock-kinds-"))
afterAll(() => Fs.rmSync(folder, { recursive: true, force: true }))

let at: Place
beforeAll(() => {
  at = place()
})
afterAll(() => at.clear())

/** In this process, which is quicker. */
const runner =
  (url: string, flags: ReadonlyArray<string> = []) =>
  async (command: string, ...args: ReadonlyArray<string>) => {
    const lines = { out: "", err: "" }
    const code = await cli([command, ...flags, ...args], {
      env: { ...process.env, STORAGE_LOCK_URL: url },
      out: (line) => (lines.out += `${line}\n`),
      err: (line) => (lines.err += `${line}\n`),
      draw: undefined,
      signal: new AbortController().signal,
      onSignal: () => () => {}
    })
    return { code, ...lines }
  }

const suite = (url: () => Promise<string>, options: StorageOptions = {}) => {
  const flags = Object.entries(options).flatMap(([name, value]) => ["-o", `${name}=${String(value)}`])
  let locks: Locks
  let run: ReturnType<typeof runner>
  let console: Console
  beforeAll(async () => {
    const storage = await url()
    locks = await connect(storage, { log: false, ownerLabel: "web-1", storage: options })
    run = runner(storage, flags)
    console = await start(storage, ["--write", ...flags])
  })
  afterAll(async () => {
    await locks.close()
    await console.stop()
  })

  const json = async (...args: readonly [string, ...ReadonlyArray<string>]): Promise<ReadonlyArray<any>> =>
    (await run(...args)).out
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line))

  it("list and get show each hold, and as what it is held", async () => {
    await using reader = await locks.readWrite.read("list-rw")
    await using other = await locks.readWrite.upgradable("list-rw", { ownerLabel: "web-2" })
    await using permits = await locks.semaphore.acquire("list-sem", { limit: 5, permits: 3 })
    const { out } = await run("list")
    for (const [lock, who, token, as] of [
      ["list-rw", "web-1", reader.token, "read"],
      ["list-rw", "web-2", other.token, "upgradable"],
      ["list-sem", "web-1", permits.token, "3 permits"]
    ])
      assert.match(out, new RegExp(`^${lock} +${who} +\\d{4}-\\S+ \\S+Z +\\d{4}-\\S+ \\S+Z +${token} +${as}$`, "m"))
    const got = await run("get", "list-rw")
    assert.strictEqual(got.code, 0)
    assert.match(got.out, /^lock +list-rw\nkind +read-write lock\nholds +2\n\nHOLDER +OWNER ID /)
    assert.include(got.out, reader.ownerId)
    assert.include(got.out, other.ownerId)
    const [told] = await json("get", "list-rw", "--json")
    assert.deepInclude(told, { lockId: "list-rw", kind: "readWrite", holderCount: 2, token: reader.token })
    assert.deepInclude(told.holders[1], { ownerId: other.ownerId, token: other.token, mode: "upgradable" })
    const watched = await run("watch", "list-rw", "list-sem", "--count", "1")
    assert.match(watched.out, new RegExp(`held {2}list-rw {2}web-2 {2}upgradable {2}token ${other.token}\n`))
    const lines = await json("watch", "list-sem", "--count", "1", "--json")
    assert.strictEqual(lines.length, 1)
    assert.deepInclude(lines[0].holder, { permits: 3, token: permits.token })
  })

  it("release takes one hold away, and others go on", async () => {
    await using stays = await locks.readWrite.read("release-rw")
    await using goes = await locks.readWrite.read("release-rw")
    await using waits = await locks.readWrite.read("release-rw")
    const wrong = await run("release", "release-rw", "--token", String(waits.token + 1), "--now")
    assert.deepStrictEqual([wrong.code, wrong.out], [1, ""])
    const now = await run("release", "release-rw", "--token", String(goes.token), "--now")
    assert.strictEqual(now.code, 0, now.err)
    assert.match(now.out, /former holder may go on until it notices/)
    assert.strictEqual(((await rejected(goes.renew())) as LockLost).reason, "Forced")
    const later = await run("release", "release-rw", "--token", String(waits.token))
    assert.match(later.out, /free when its lease ends, at 2/)
    const [told] = await json("get", "release-rw", "--json")
    assert.deepStrictEqual(
      told.holders.map(({ ownerId, token }: any) => [ownerId, token]),
      [
        [stays.ownerId, stays.token],
        ["", waits.token]
      ]
    )
    assert.match((await run("get", "release-rw")).out, /^\(revoked\) /m)
    assert.isAbove(await stays.renew(), 0)
    assert.strictEqual(((await rejected(waits.renew())) as LockLost).reason, "Forced")
  })

  it("the console tells of each hold, and of its end; and takes one away alone", async () => {
    const { json: document } = await ask(`${console.url}openapi.json`)
    const ajv = new Ajv2020({ strict: true, allErrors: true, strictRequired: false })
    ajv.addFormat("date-time", true)
    ajv.addVocabulary(["openapi", "info", "paths", "components"])
    ajv.addSchema(document, "openapi")
    const is = (name: string, value: unknown) => {
      const validate = ajv.getSchema(`openapi#/components/schemas/${name}`)!
      assert.isTrue(validate(value), JSON.stringify(validate.errors))
    }
    const stream = await listen(console.url)
    try {
      const change = async (kind: string, { lockId, token }: Lock): Promise<any> => {
        const isIt = (one: any) => one.kind === kind && one.lockId === lockId && one.token === token
        const { data } = await stream.first(({ data, event }) => event === "look" && data.changes.some(isIt))
        is("Look", data)
        return data.changes.find(isIt)
      }
      await using stays = await locks.readWrite.read("console-rw")
      const leaves = await locks.readWrite.read("console-rw")
      await using goes = await locks.readWrite.read("console-rw")
      await using permits = await locks.semaphore.acquire("console-sem", { limit: 2 })
      assert.deepInclude(await change("held", leaves), { lockId: "console-rw", mode: "read" })
      assert.deepInclude(await change("held", permits), { lockId: "console-sem", permits: 1 })
      await change("held", goes)
      const one = await ask(lockAt(console.url, "console-rw"))
      is("Lock", one.json)
      assert.deepInclude(one.json, { kind: "readWrite", holderCount: 3, token: stays.token, isRevoked: false })
      assert.strictEqual(one.json.holders[0].ownerId, stays.ownerId)
      const state = await ask(`${console.url}locks`)
      is("State", state.json)
      assert.strictEqual(state.json.locks.find((_: any) => _.lockId === "console-rw").holders.length, 3)
      assert.match((await ask(`${console.url}metrics`)).body, /^storage_lock_console_holds\{.*\} \d+$/m)
      await leaves.release()
      assert.strictEqual((await change("released", leaves)).mode, "read")
      const freed = await release(console, "console-rw", { token: goes.token, when: "now" })
      assert.strictEqual(freed.status, 200, freed.body)
      is("Released", freed.json)
      await change("revoked", goes)
      const blocked = await release(console, "console-sem", { token: permits.token, when: "leaseEnd" })
      assert.isString(blocked.json.freeAt)
      await change("revoked", permits)
      assert.isTrue((await ask(lockAt(console.url, "console-sem"))).json.isRevoked)
      const over = await release(console, "console-rw", { token: goes.token, when: "now" })
      assert.strictEqual(over.status, 409)
      assert.isAbove(await stays.renew(), 0)
      const told = stream.told.flatMap(({ data, event }) => (event === "look" ? data.changes : []))
      assert.isFalse(told.some((_: any) => _.lockId === "console-rw" && _.token === stays.token && _.kind !== "held"))
    } finally {
      stream.close()
    }
  })
}

describe("kinds of lock over SQLite", () => {
  suite(() => Promise.resolve(`sqlite:${Path.join(folder, "locks.db")}`))
})

await describeServer("kinds of lock over PostgreSQL", Shared.postgres, (server) => {
  suite(() => Promise.resolve(server.url), { table: `cli_kinds_${process.pid}` })
})

await describeServer("kinds of lock over etcd, which has no clock", Shared.etcd, (server) => {
  suite(() => Promise.resolve(server.url), { prefix: `cli-kinds-${process.pid}/` })
})

describe("storage-lock run", () => {
  let locks: Locks
  beforeAll(async () => {
    locks = await connect(`sqlite:${at.database}`, { log: false, ownerLabel: "web-1" })
  })
  afterAll(() => locks.close())

  it("takes a lock to read, or to write", async () => {
    {
      await using _ = await locks.readWrite.read("run-rw")
      assert.strictEqual((await at.run(["run", "--try", "--read", "run-rw", "--", "true"])).code, 0)
      const write = await at.run(["run", "--try", "--write", "run-rw", "--", "true"])
      assert.strictEqual(write.code, 75)
      assert.match(write.err, /somebody else has the lock: web-1/)
      const alone = await at.run(["run", "--wait", "300ms", "run-rw", "--", "true"])
      assert.strictEqual(alone.code, 75)
      assert.match(alone.err, /held as a read-write lock/)
    }
    assert.strictEqual((await at.run(["run", "--wait", "1m", "--write", "run-rw", "--", "sh", "-c", "exit 3"])).code, 3)
    assert.isUndefined(await locks.get("run-rw"))
  })

  it("takes permits of a semaphore", async () => {
    {
      await using _ = await locks.semaphore.acquire("run-sem", { limit: 3, permits: 2 })
      assert.strictEqual((await at.run(["run", "--try", "--limit", "3", "run-sem", "--", "true"])).code, 0)
      const two = await at.run(["run", "--try", "--limit", "3", "--permits", "2", "run-sem", "--", "true"])
      assert.strictEqual(two.code, 75)
      assert.match(two.err, /there are not so many permits free: web-1/)
    }
    assert.isUndefined(await locks.get("run-sem"))
  })
})

describe("a command line that makes no sense", () => {
  const cases: ReadonlyArray<readonly [string, ReadonlyArray<string>, RegExp]> = [
    ["to read and to write", ["--read", "--write"], /one of --read and --write/],
    ["permits of nothing", ["--permits", "2"], /--limit says how many/],
    ["more permits than there are", ["--permits", "3", "--limit", "2"], /at most the limit, which is 2/],
    ["no permits", ["--permits", "0", "--limit", "2"], /--permits must be a whole number above zero/],
    ["a limit that is none", ["--limit", "many"], /--limit must be a whole number above zero/],
    ["too high a limit", ["--limit", "1000001"], /at most 1000000/],
    ["two kinds", ["--read", "--limit", "2"], /give one kind/],
    ["to enter a semaphore", ["--owner", "me", "--limit", "2"], /is not entered again/]
  ]
  // Nothing listens there: whoever asked it would be told of that.
  const run = runner("postgres://127.0.0.1:1/none")
  for (const [what, flags, says] of cases) {
    it(`${what}: exit code 64, and the usage, before anything is asked`, async () => {
      const { code, err, out } = await run("run", ...flags, "a", "--", "true")
      assert.deepStrictEqual([code, out], [64, ""], err)
      assert.match(err, says)
      assert.match(err, /Usage: storage-lock run/)
    })
  }
})
