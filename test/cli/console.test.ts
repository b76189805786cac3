/** The API of the console, over real storages. */
import { Ajv2020 } from "ajv/dist/2020.js"
import * as Effect from "#effect/Effect"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { open } from "../../src/connect/connect.js"
import { connect, type Locks, type StorageOptions } from "../../src/promise/index.js"
import { describeServer } from "../harness/server.js"
import * as Shared from "../harness/shared.js"
import { place } from "../support/command.js"
import { ask, changeOf, type Console, listen, lockAt, release, start } from "../support/console.js"
import * as unhandled from "../support/unhandled.js"

unhandled.refused()

const folder = Fs.mkdtempSync(Path.join(Os.tmpdir(), "storage-lock-console-"))
afterAll(() => Fs.rmSync(folder, { recursive: true, force: true }))

const ajv = new Ajv2020({ strict: true, allErrors: true, strictRequired: false })
ajv.addFormat("date-time", (text) => /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/.test(text))

ajv.addVocabulary(["openapi", "info", "paths", "components"])

/** Whether an answer is what the document says. */
const judge = async (url: string) => {
  const { json: document } = await ask(`${url}openapi.json`)
  ajv.removeSchema("openapi")
  ajv.addSchema(document, "openapi")
  return (name: string, value: unknown): void => {
    const validate = ajv.getSchema(`openapi#/components/schemas/${name}`)!
    assert.isTrue(validate(value), JSON.stringify(validate.errors))
  }
}

const hostile = `<img src=x onerror="alert(1)">/../?#%2F "'é\u202e`

const isLoss = ({ kind, lockId }: { readonly kind: string; readonly lockId: string }) =>
  lockId === "c" && kind !== "held"

/** What holds of every storage. */
const suite = (url: () => Promise<string>, options: StorageOptions = {}) => {
  let console: Console
  let locks: Locks
  let is: Awaited<ReturnType<typeof judge>>
  beforeAll(async () => {
    const storage = await url()
    locks = await connect(storage, { log: false, ownerLabel: "web-1 pid 42", storage: options })
    const flags = Object.entries(options).flatMap(([name, value]) => ["-o", `${name}=${String(value)}`])
    console = await start(storage, ["--write", ...flags])
    is = await judge(console.url)
  })
  afterAll(async () => {
    await locks.close()
    assert.strictEqual(await console.stop(), 0)
  })

  it("tells who holds what, in all its answers", async () => {
    await using lock = await locks.acquire(hostile)
    let found: any
    // As old as the last look may be.
    while (found === undefined) {
      const { json: state, status } = await ask(`${console.url}locks`)
      assert.strictEqual(status, 200)
      is("State", state)
      found = state.locks.find((_: any) => _.lockId === hostile)
    }
    assert.deepInclude(found, { ownerId: lock.ownerId, ownerLabel: "web-1 pid 42", token: lock.token, lockCount: 1 })
    assert.isAbove(found.leaseLeft, 0)
    assert.isAtMost(found.leaseLeft, found.leaseLength)
    const one = await ask(lockAt(console.url, hostile))
    assert.strictEqual(one.status, 200)
    is("Lock", one.json)
    assert.strictEqual(one.json.token, lock.token)
    const health = await ask(`${console.url}healthz`)
    assert.deepStrictEqual([health.status, health.json.status], [200, "ok"])
    is("Health", health.json)
  })

  it("tells of a hold when it begins, when it is renewed, and when it is given back", async () => {
    const stream = await listen(console.url)
    is("State", stream.told[0]?.data ?? (await stream.first(({ event }) => event === "state")).data)
    const lock = await locks.acquire("a")
    const held = await changeOf(stream, "a", "held")
    assert.deepInclude(held, { token: lock.token, ownerLabel: "web-1 pid 42" })
    const seen = stream.told.length
    await lock.renew()
    await stream.first((told) => stream.told.indexOf(told) >= seen && told.data.set.some((_: any) => _.lockId === "a"))
    await lock.release()
    assert.strictEqual((await changeOf(stream, "a", "released")).token, lock.token)
    for (const { data, event } of stream.told) is(event === "state" ? "State" : "Look", data)
    stream.close()
  })

  it("takes a lock away: safely, and at once", async () => {
    const stream = await listen(console.url)
    for (const when of ["leaseEnd", "now"] as const) {
      const lockId = `b ${when}`
      const lock = await locks.acquire(lockId)
      await changeOf(stream, lockId, "held")
      const wrong = await release(console, lockId, { token: lock.token + 1, when })
      assert.deepStrictEqual([wrong.status, wrong.json.code], [409, "HOLD_IS_OVER"])
      is("Problem", wrong.json)
      const { json, status } = await release(console, lockId, { token: lock.token, when })
      assert.strictEqual(status, 200)
      is("Released", json)
      assert.strictEqual(json.freeAt === undefined, when === "now")
      assert.strictEqual((await changeOf(stream, lockId, "revoked")).token, lock.token)
      const after = await ask(lockAt(console.url, lockId))
      if (when === "now") assert.deepStrictEqual([after.status, after.json.code], [404, "NOT_HELD"])
      else assert.deepInclude(after.json, { isRevoked: true, ownerId: "" })
      await lock.release()
    }
    const { json } = await ask(`${console.url}locks`)
    assert.includeMembers(
      json.lost.map((_: any) => `${_.kind} ${_.lockId}`),
      ["revoked b leaseEnd", "revoked b now"]
    )
    stream.close()
  })

  it("tells of a hold whose holder is gone when its lease has run out", async () => {
    const stream = await listen(console.url)
    // Nobody will renew it.
    const claim = { lockId: "c", ownerId: "dead", holdId: "c".repeat(22), lease: 2_000_000, ownerLabel: "job-7 pid 9" }
    const storage = await url()
    await Effect.runPromise(Effect.scoped(Effect.flatMap(open(storage, { ...options }), (_) => _.storage.claim(claim))))
    await changeOf(stream, "c", "held")
    // On a machine that stands still meanwhile, it cannot be told how it ended.
    const { data } = await stream.first(({ data }) => data.changes?.some(isLoss))
    const { kind, ownerLabel } = data.changes.find(isLoss)
    assert.include(["expired", "unseen"], kind)
    assert.strictEqual(ownerLabel, "job-7 pid 9")
    stream.close()
  })

  it("tells Prometheus", async () => {
    await using lock = await locks.acquire('quoted "id"')
    void lock
    const { body, headers } = await ask(`${console.url}metrics`)
    assert.match(headers["content-type"]!, /^text\/plain; version=0\.0\.4/)
    const line = /^(# (HELP|TYPE) [a-z_]+ .+|[a-z_]+\{([a-z_]+="([^"\\\n]|\\.)*",?)*\} [0-9.e+-]+)$/
    for (const text of body.trimEnd().split("\n")) assert.match(text, line)
    assert.match(body, /^storage_lock_console_up\{.*\} 1$/m)
    assert.match(body, /^storage_lock_console_locks\{.*\} [1-9]$/m)
    assert.match(body, /^storage_lock_console_look_seconds_bucket\{.*,le="\+Inf"\} [1-9]/m)
  })
}

describe("the console over SQLite", () => suite(async () => `sqlite:${Path.join(folder, "suite.db")}`))

await describeServer("the console over PostgreSQL", Shared.postgres, (server) => {
  suite(() => Promise.resolve(server.url))
})

await describeServer("the console over etcd, which has no clock", Shared.etcd, (server) => {
  suite(() => Promise.resolve(server.url), { prefix: `console-${process.pid}/` })
})

describe("the document of the console's API", () => {
  it("has what is asked and answered, and every schema is right", async () => {
    const console = await start(`sqlite:${Path.join(folder, "document.db")}`)
    const { json: document } = await ask(`${console.url}openapi.json`)
    await judge(console.url)
    assert.sameMembers(Object.keys(document.paths), [
      "/locks",
      "/locks/{id}",
      "/locks/{id}/release",
      "/events",
      "/metrics",
      "/healthz",
      "/openapi.json",
      "/"
    ])
    for (const name of Object.keys(document.components.schemas))
      assert.isFunction(ajv.getSchema(`openapi#/components/schemas/${name}`), name)
    // Every reference leads somewhere.
    for (const [, name] of JSON.stringify(document).matchAll(/"#\/components\/schemas\/(\w+)"/g))
      assert.property(document.components.schemas, name!)
    await console.stop()
  })
})

describe("whoever asks the console", () => {
  let console: Console
  let readOnly: Console
  let token: number
  let locks: Locks
  beforeAll(async () => {
    const storage = `sqlite:${Path.join(folder, "guard.db")}`
    locks = await connect(storage, { log: false })
    token = (await locks.acquire("held")).token
    console = await start(storage, ["--write", "--allow-host", "locks.example.com"])
    readOnly = await start(storage)
  })
  afterAll(async () => {
    await locks.close()
    await console.stop()
    await readOnly.stop()
  })

  const wish = () => ({ token, when: "now" })
  const unchanged = async () => assert.strictEqual((await locks.get("held"))?.token, token)

  it("is refused without the token, or with another", async () => {
    for (const given of [undefined, "", `${console.token}x`, console.token!.slice(1)]) {
      const headers = given === undefined ? {} : { Authorization: `Bearer ${given}` }
      const {
        headers: told,
        json,
        status
      } = await release({ url: console.url, token: undefined }, "held", wish(), headers)
      assert.deepStrictEqual([status, json.code], [401, "UNAUTHORIZED"])
      assert.match(String(told["www-authenticate"]), /^Bearer/)
    }
    await unchanged()
  })

  it("cannot change anything without --write, and no token is shown then", async () => {
    assert.isUndefined(readOnly.token)
    assert.lengthOf(readOnly.out, 1)
    const { json, status } = await release({ url: readOnly.url, token: console.token }, "held", wish())
    assert.deepStrictEqual([status, json.code], [403, "READ_ONLY"])
    await unchanged()
  })

  it("is refused from another site, even with the token", async () => {
    const foreign: ReadonlyArray<object> = [
      { Origin: "https://evil.example.com" },
      { Origin: "null" },
      { Origin: console.url.replace(/:\d+\/$/, ":1") },
      { "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors" },
      { "Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors" }
    ]
    for (const headers of foreign) {
      const { json, status } = await release(console, "held", wish(), headers)
      assert.deepStrictEqual([status, json.code], [403, "FOREIGN_ORIGIN"], JSON.stringify(headers))
      assert.strictEqual((await ask(`${console.url}locks`, { headers })).status, 403)
    }
    await unchanged()
  })

  it("is refused under a name that somebody else has let point here", async () => {
    for (const Host of [
      "evil.example.com",
      "127.0.0.1.evil.example.com",
      "localhost.evil.example.com",
      "[::1",
      "a:b:c"
    ]) {
      const { json, status } = await ask(`${console.url}locks`, { headers: { Host } })
      assert.deepStrictEqual([status, json.code], [421, "UNKNOWN_HOST"], Host)
    }
    for (const Host of ["localhost", "LOCALHOST:9", "127.0.0.1:80", "[::1]:7171", "locks.example.com:443"])
      assert.strictEqual((await ask(`${console.url}locks`, { headers: { Host } })).status, 200, Host)
  })

  it("is told what is wrong with what it sends", async () => {
    const wrong: ReadonlyArray<readonly [unknown, object, number]> = [
      ["no json", {}, 400],
      ["[]", {}, 400],
      [{ token: 1.5, when: "now" }, {}, 400],
      [{ token: "1", when: "now" }, {}, 400],
      [{ token: 1, when: "soon" }, {}, 400],
      [{ token: 1, when: "now", force: true }, {}, 400],
      [wish(), { "Content-Type": "text/plain" }, 400],
      [`"${"x".repeat(10_000)}"`, {}, 413]
    ]
    for (const [body, headers, status] of wrong)
      assert.strictEqual(
        (await release(console, "held", body, headers)).status,
        status,
        JSON.stringify(body).slice(0, 40)
      )
    assert.strictEqual((await ask(`${console.url}locks/%ff`)).json.code, "INVALID_LOCK_ID")
    assert.strictEqual((await ask(`${console.url}locks/%00`)).json.code, "INVALID_LOCK_ID")
    assert.strictEqual((await ask(`${console.url}nothing`)).json.code, "NOT_FOUND")
    const method = await ask(`${console.url}locks`, { method: "DELETE" })
    assert.deepStrictEqual([method.status, method.headers["allow"]], [405, "GET, HEAD"])
    assert.strictEqual((await ask(`${console.url}locks/held/release`)).status, 405)
    assert.strictEqual((await ask(`${console.url}healthz`, { method: "HEAD" })).body, "")
    await unchanged()
  })

  it("gets with every answer what keeps a browser from more than it should do", async () => {
    for (const path of ["", "locks", "nothing", "openapi.json", "metrics"]) {
      const { headers } = await ask(`${console.url}${path}`)
      const policy = String(headers["content-security-policy"])
      assert.match(policy, /default-src 'none'/)
      assert.notMatch(policy, /unsafe/)
      assert.strictEqual(headers["x-content-type-options"], "nosniff")
      assert.strictEqual(headers["x-frame-options"], "DENY")
      assert.strictEqual(headers["cache-control"], "no-store")
      assert.strictEqual(headers["referrer-policy"], "no-referrer")
      assert.isUndefined(headers["set-cookie"])
      assert.isUndefined(headers["access-control-allow-origin"])
    }
  })

  it("is one of a bounded number of watchers", async () => {
    const streams = await Promise.all(Array.from({ length: 32 }, () => listen(console.url)))
    const { headers, json, status } = await ask(`${console.url}events`)
    assert.deepStrictEqual([status, json.code, headers["retry-after"]], [503, "TOO_MANY", "10"])
    for (const stream of streams) stream.close()
    for (;;) {
      const again = await listen(console.url).catch(() => undefined)
      again?.close()
      if (again !== undefined) break
    }
  })
})

describe("the console", () => {
  it("takes its token from the environment or a file, and shows it to nobody", async () => {
    const storage = `sqlite:${Path.join(folder, "token.db")}`
    const token = "a-token-of-one's-own"
    const file = Path.join(folder, "token")
    Fs.writeFileSync(file, `${token}\n`)
    const ways: ReadonlyArray<readonly [ReadonlyArray<string>, NodeJS.ProcessEnv]> = [
      [["--write"], { EFFECT_STORAGE_LOCK_CONSOLE_TOKEN: token }],
      [["--write", "--token-file", file], {}]
    ]
    for (const [flags, env] of ways) {
      const console = await start(storage, flags, env)
      assert.notInclude([...console.out, ...console.err].join("\n"), token)
      assert.strictEqual((await release({ url: console.url, token }, "a", { token: 1, when: "now" })).status, 409)
      await console.stop()
    }
    for (const short of ["short", "with a space in between it"]) {
      const error = await start(storage, ["--write"], { EFFECT_STORAGE_LOCK_CONSOLE_TOKEN: short }).catch(
        (_: Error) => _
      )
      assert.match((error as Error).message, /at least 16 characters/)
      assert.notInclude((error as Error).message, short)
    }
  })

  it("tells nothing of the URL that could be a secret", async () => {
    const console = await start("redis://app:hunter2@127.0.0.1:1/3?password=hunter3")
      .then((_) => ({ ..._, error: "" }))
      .catch((error: Error) => ({ error: error.message, url: "", stop: async () => 0, err: [] as Array<string> }))
    assert.notMatch(console.error + console.err.join(), /hunter/)
    await console.stop()
    const away = await start("redis://app:hunter2@127.0.0.1:1/3")
    const { body, status } = await ask(`${away.url}healthz`)
    assert.strictEqual(status, 503)
    assert.include(body, "redis://127.0.0.1:1/3")
    const all = [body, (await ask(`${away.url}locks`)).body, (await ask(`${away.url}metrics`)).body, ...away.err].join()
    assert.notMatch(all, /hunter|app/)
    await away.stop()
  })

  it("ends at a signal, with all who watch", async () => {
    const at = place()
    try {
      const running = at.start(["console", "--port", "0"])
      let out = ""
      running.process.stdout!.on("data", (data: Buffer) => (out += String(data)))
      while (!out.includes("\n")) await new Promise((resolve) => setTimeout(resolve, 20))
      const url = out.trim()
      assert.match(url, /^http:\/\/127\.0\.0\.1:\d+\/$/)
      const stream = await listen(url)
      running.process.kill("SIGTERM")
      await stream.ended
      assert.deepInclude(await running.ended, { code: 0, err: "" })
    } finally {
      at.clear()
    }
  })

  const wrong: ReadonlyArray<readonly [string, ReadonlyArray<string>, RegExp]> = [
    ["a port that is none", ["--port", "70000"], /--port must be/],
    ["a token for nothing", ["--token-file", "x"], /--token-file is for --write/],
    ["an address that is not its own", ["--host", "203.0.113.1"], /cannot listen on 203\.0\.113\.1/]
  ]
  for (const [what, flags, says] of wrong) {
    it(`refuses ${what}`, async () => {
      const error = await start("memory:", flags).catch((_: Error) => _)
      assert.match((error as Error).message, says)
    })
  }
})
