/** etcd as it is run in earnest: a cluster whose leader dies or stands still, encrypted links, and several processes. */
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import { execFile, execFileSync } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import * as EtcdStorage from "../src/backends/EtcdStorage.js"
import type { StorageError } from "../src/LockError.js"
import * as Etcd from "./harness/etcd.js"
import { describeServer } from "./harness/server.js"
import * as Shared from "./harness/shared.js"
import * as Process from "./support/process.js"

const stubborn = Schedule.spaced("100 millis").pipe(Schedule.intersect(Schedule.recurs(300)))

const folder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "storage-lock-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

await describeServer("a cluster of etcd", Etcd.cluster("etcd 3.5", 3), (members) => {
  const leader = Effect.gen(function*() {
    for (const member of members) {
      const status = yield* member.admin("maintenance/status", {})
      if (status.leader === status.header.member_id) return member
    }
    return yield* Effect.fail("an election is under way")
  }).pipe(Effect.retry(stubborn), Effect.orDie)

  /** A process that starts at the leader, so that it is the one it loses. */
  const process = (prefix: string, first: Etcd.EtcdServer) =>
    Effect.gen(function*() {
      const hosts = [first, ...members.filter((member) => member !== first)].map(({ host, port }) => `${host}:${port}`)
      const { storage } = yield* EtcdStorage.make({ url: Redacted.make(`etcd://${hosts.join()}`), prefix, operationTimeout: "2 seconds" })
      return { storage, ...(yield* Process.make(storage, { leaseExpireAfter: "20 seconds" })) }
    })

  const through = (name: string, fail: (member: Etcd.EtcdServer) => Effect.Effect<void>, heal: (member: Etcd.EtcdServer) => Effect.Effect<void>) =>
    it.scopedLive(name, () =>
      Effect.gen(function*() {
        const failing = yield* leader
        const prefix = `${yield* failing.freshPrefix}`
        const [ours, theirs] = yield* Effect.all([process(prefix, failing), process(prefix, failing)])
        const lock = yield* ours.locks.acquire("a", "ada")
        let entered = false
        const waiting = yield* Effect.fork(Effect.scoped(Effect.map(theirs.locks.acquire("a", "bob", { acquireTimeout: "60 seconds" }), ({ token }) => {
          entered = true
          return token
        })))
        yield* Effect.acquireUseRelease(fail(failing), () =>
          Effect.gen(function*() {
            yield* Effect.retry(lock.renew, { schedule: stubborn, while: (error) => error._tag === "StorageError" })
            const seen = yield* Effect.retry(ours.storage.get("a"), stubborn)
            assert.strictEqual(Option.getOrThrow(seen).record.token, lock.token)
            assert.isFalse(entered)
            yield* lock.check
            yield* lock.release
            assert.isAbove(yield* Fiber.join(waiting), lock.token)
          }), () => heal(failing))
        const after = yield* Effect.scoped(Effect.map(Effect.retry(ours.locks.acquire("a", "cyd"), stubborn), ({ token }) => token))
        assert.isAbove(after, lock.token)
      }), 120_000)

  through("a lock outlives the death of the leader, and its waiter comes in after the release", (member) => member.kill, (member) => member.start)
  through("a lock outlives a leader that stands still", (member) => member.suspend, (member) => member.resume)

  it.scopedLive("never two are inside while leaders die", () =>
    Effect.gen(function*() {
      const first = yield* leader
      const prefix = yield* first.freshPrefix
      const processes = yield* Effect.all([1, 2, 3].map(() => process(prefix, first)))
      let inside = 0
      let last = 0
      let turns = 0
      let over = false
      const turn = (locks: (typeof processes)[number]["locks"]) =>
        locks.withLock((lock) =>
          Effect.gen(function*() {
            assert.strictEqual(++inside, 1)
            assert.isAbove(lock.token, last)
            last = lock.token
            yield* Effect.sleep("5 millis")
            assert.strictEqual(inside--, 1)
            turns++
          }), "b")
      const working = yield* Effect.fork(Effect.forEach(processes, ({ locks }) =>
        Effect.whileLoop({
          while: () => !over,
          body: () => Effect.retry(turn(locks), { schedule: stubborn, while: (error) => error._tag === "StorageError" }),
          step: () => {}
        }), { concurrency: "unbounded" }))
      const more = Effect.suspend(() => {
        const from = turns
        return Effect.repeat(Effect.delay(Effect.sync(() => turns), "20 millis"), { until: (now) => now >= from + 30 })
      })
      for (let i = 0; i < 2; i++) {
        yield* more
        const dying = yield* leader
        yield* dying.kill
        yield* more
        yield* dying.start
      }
      yield* more
      over = true
      yield* Fiber.join(working)
      assert.isAtLeast(turns, 150)
    }), 180_000)
})

await describeServer("processes on one etcd", Shared.etcd, (server) => {
  it.scopedLive("hand one lock over to each other, and no turn is lost", () =>
    Effect.gen(function*() {
      const prefix = yield* server.freshPrefix
      const file = join(yield* folder, "counter")
      writeFileSync(file, "0")
      const child = fileURLToPath(new URL("etcdChild.ts", import.meta.url))
      const run = Effect.promise(() => promisify(execFile)(globalThis.process.execPath, ["--import", "tsx", child, server.url, prefix, file, "15"]))
      const outputs = yield* Effect.all([run, run, run], { concurrency: "unbounded" })
      const tokens = outputs.map(({ stdout }) => JSON.parse(stdout) as ReadonlyArray<number>)
      assert.strictEqual(readFileSync(file, "utf8"), "45")
      assert.strictEqual(new Set(tokens.flat()).size, 45)
      for (const own of tokens) assert.deepStrictEqual([...own].sort((a, b) => a - b), own)
    }), 120_000)
})

/** An authority, a server and a client of it, in PEM; readable for a server that runs as another user. */
const certificates = (directory: string) => {
  const openssl = (...args: ReadonlyArray<string>) => execFileSync("openssl", args, { cwd: directory, stdio: "ignore" })
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
  openssl("req", "-x509", ...key, "-days", "2", "-subj", "/CN=authority", "-keyout", "ca.key", "-out", "ca.pem")
  writeFileSync(join(directory, "ext"), "subjectAltName=IP:127.0.0.1,DNS:localhost\nextendedKeyUsage=serverAuth,clientAuth\n")
  for (const name of ["server", "client"]) {
    openssl("req", ...key, "-subj", `/CN=${name}`, "-keyout", `${name}.key`, "-out", `${name}.csr`)
    openssl("x509", "-req", "-in", `${name}.csr`, "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "ext", "-out", `${name}.pem`)
  }
  execFileSync("chmod", ["-R", "a+rX", directory])
  return (name: string) => join(directory, name)
}

const encrypted = Effect.gen(function*() {
  const at = certificates(yield* folder)
  const server = yield* Etcd.encrypted("etcd 3.4", { cert: at("server.pem"), key: at("server.key"), ca: at("ca.pem") })
  return { server, read: (name: string) => readFileSync(at(name), "utf8") }
})

const two = Effect.all([Etcd.own("etcd 3.4"), Etcd.own("etcd 3.4")], { concurrency: "unbounded" })

// Another store of its own at the second endpoint is what a cluster looks like that was restored from a backup: of another history, and further back.
await describeServer("a store that has gone back", two, ([before, after]) => {
  it.scopedLive("is noticed: nothing that was remembered counts, and tokens go on growing", () =>
    Effect.gen(function*() {
      const hosts = [before, after].map(({ host, port }) => `${host}:${port}`).join()
      const { storage } = yield* EtcdStorage.make({ url: Redacted.make(`etcd://${hosts}`), prefix: "p/", operationTimeout: "2 seconds" })
      const request = (ownerId: string) => ({ lockId: "a", ownerId, holdId: ownerId.padEnd(22, "-"), lease: 30_000_000 })
      const value = (ownerId: string) => JSON.stringify({
        kind: "exclusive", format: 1, ownerId, holds: [request(ownerId).holdId], token: 3, version: 3, lockBeginTime: 0, leaseExpireTime: 500_000, data: ""
      })
      const put = (server: Etcd.EtcdServer, ownerId: string) =>
        server.admin("kv/put", { key: Etcd.base64("p/a"), value: Etcd.base64(value(ownerId)) })
      // One revision of the key, in two histories.
      yield* put(before, "old")
      yield* put(after, "new")
      const first = yield* storage.claim(request("me"))
      assert.strictEqual(first._tag === "Held" && first.holder?.ownerId, "old")
      for (let i = 0; i < 20; i++) yield* before.admin("kv/put", { key: Etcd.base64("other"), value: "" })
      yield* storage.get("a")
      yield* Effect.sleep("600 millis")
      yield* before.kill
      yield* Effect.retry(storage.get("other"), stubborn)
      // Observed from now on: what was seen of the other one does not count.
      const second = yield* storage.claim(request("me"))
      assert.strictEqual(second._tag === "Held" && second.holder?.ownerId, "new")
      yield* Effect.sleep("600 millis")
      const third = yield* storage.claim(request("me"))
      assert.isAbove(third._tag === "Claimed" ? third.record.token : 0, 20)
    }), 60_000)
})

await describeServer("etcd over TLS", encrypted, ({ read, server }) => {
  const url = Redacted.make(`etcds://localhost:${server.port}`)
  const client = { cert: read("client.pem"), key: Redacted.make(read("client.key")) }
  const given = { ca: read("ca.pem"), ...client }

  it.scopedLive("serves who shows a certificate and trusts its authority, and nobody else", () =>
    Effect.gen(function*() {
      const { storage } = yield* EtcdStorage.make({ url, tls: given })
      const outcome = yield* storage.claim({ lockId: "a", ownerId: "me", holdId: "h".repeat(22), lease: 1_000_000 })
      assert.strictEqual(outcome._tag, "Claimed")
      const refused: ReadonlyArray<EtcdStorage.Options> = [
        { url, tls: client },
        { url, tls: { ca: given.ca } },
        { url: Redacted.make(`etcd://${server.host}:${server.port}`) }
      ]
      for (const options of refused) {
        const error = (yield* Effect.flip(EtcdStorage.make({ ...options, operationTimeout: "2 seconds" }))) as StorageError
        assert.deepStrictEqual([error._tag, error.applied, error.isRetryable], ["StorageError", "no", true])
        assert.notInclude(JSON.stringify(error), "PRIVATE KEY")
      }
    }), 60_000)
})
