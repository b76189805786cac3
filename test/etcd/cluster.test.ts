/** etcd as it is run in earnest: a cluster whose leader dies or stands still, encrypted links, and several processes. */
import { assert, it } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import * as Fiber from "#effect/Fiber"
import * as Option from "#effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schedule from "#effect/Schedule"
import { execFile } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { promisify } from "node:util"
import * as EtcdStorage from "../../src/backends/etcd/EtcdStorage.js"
import type { StorageError } from "../../src/LockError.js"
import * as Certificates from "../harness/certificates.js"
import * as Etcd from "../harness/etcd.js"
import * as Proxy from "../harness/proxy.js"
import { describeServer } from "../harness/server.js"
import * as Shared from "../harness/shared.js"
import { byTurns } from "../support/byTurns.js"
import * as Process from "../support/process.js"
import * as program from "../support/program.js"

const stubborn = Schedule.max([Schedule.spaced("100 millis"), Schedule.recurs(300)])

const folder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "storage-lock-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

await describeServer("a cluster of etcd", Etcd.cluster("etcd 3.5", 3), (members) => {
  const leader = Effect.gen(function* () {
    for (const member of members) {
      const status = yield* member.admin("maintenance/status", {})
      if (status.leader === status.header.member_id) return member
    }
    return yield* Effect.fail("an election is under way")
  }).pipe(Effect.retry(stubborn), Effect.orDie)

  /** A process that starts at the leader, so that it is the one it loses. */
  const process = (prefix: string, first: Etcd.EtcdServer) =>
    Effect.gen(function* () {
      const hosts = [first, ...members.filter((member) => member !== first)].map(({ host, port }) => `${host}:${port}`)
      const { storage } = yield* EtcdStorage.make({
        url: Redacted.make(`etcd://${hosts.join()}`),
        prefix,
        operationTimeout: "2 seconds"
      })
      return { storage, ...(yield* Process.make(storage, { leaseExpireAfter: "20 seconds" })) }
    })

  const through = (
    name: string,
    fail: (member: Etcd.EtcdServer) => Effect.Effect<void>,
    heal: (member: Etcd.EtcdServer) => Effect.Effect<void>
  ) =>
    it.live(name, () =>
      Effect.gen(function* () {
        const failing = yield* leader
        const prefix = `${yield* failing.freshPrefix}`
        const [ours, theirs] = yield* Effect.all([process(prefix, failing), process(prefix, failing)])
        const lock = yield* ours.locks.acquire("a", "ada")
        let entered = false
        const waiting = yield* Effect.forkChild(
          Effect.scoped(
            Effect.map(theirs.locks.acquire("a", "bob", { acquireTimeout: "60 seconds" }), ({ token }) => {
              entered = true
              return token
            })
          )
        )
        yield* Effect.acquireUseRelease(
          fail(failing),
          () =>
            Effect.gen(function* () {
              yield* Effect.retry(lock.renew, { schedule: stubborn, while: (error) => error._tag === "StorageError" })
              const seen = yield* Effect.retry(ours.storage.get("a"), stubborn)
              assert.strictEqual(Option.getOrThrow(seen).record.token, lock.token)
              assert.isFalse(entered)
              yield* lock.check
              yield* lock.release
              assert.isAbove(yield* Fiber.join(waiting), lock.token)
            }),
          () => heal(failing)
        )
        const after = yield* Effect.scoped(
          Effect.map(Effect.retry(ours.locks.acquire("a", "cyd"), stubborn), ({ token }) => token)
        )
        assert.isAbove(after, lock.token)
      })
    )

  through(
    "a lock outlives the death of the leader, and its waiter comes in after the release",
    (member) => member.kill,
    (member) => member.start
  )
  through(
    "a lock outlives a leader that stands still",
    (member) => member.suspend,
    (member) => member.resume
  )

  it.live("never two are inside while leaders die", () =>
    Effect.gen(function* () {
      const first = yield* leader
      const prefix = yield* first.freshPrefix
      const processes = yield* Effect.all([1, 2, 3].map(() => process(prefix, first)))
      const turns = yield* byTurns(processes, (more) =>
        Effect.gen(function* () {
          for (let i = 0; i < 2; i++) {
            yield* more(30)
            const dying = yield* leader
            yield* dying.kill
            yield* more(30)
            yield* dying.start
          }
          yield* more(30)
        })
      )
      assert.isAtLeast(turns, 150)
    })
  )
})

await describeServer("processes on one etcd", Shared.etcd, (server) => {
  const child = program.bundled(new URL("./child.ts", import.meta.url))
  it.live("hand one lock over to each other, and no turn is lost", () =>
    Effect.gen(function* () {
      const prefix = yield* server.freshPrefix
      const file = join(yield* folder, "counter")
      writeFileSync(file, "0")
      const run = Effect.promise(() =>
        promisify(execFile)(globalThis.process.execPath, [child(), server.url, prefix, file, "15"])
      )
      const outputs = yield* Effect.all([run, run, run], { concurrency: "unbounded" })
      const tokens = outputs.map(({ stdout }) => JSON.parse(stdout) as ReadonlyArray<number>)
      assert.strictEqual(readFileSync(file, "utf8"), "45")
      assert.strictEqual(new Set(tokens.flat()).size, 45)
      for (const own of tokens)
        assert.deepStrictEqual(
          [...own].sort((a, b) => a - b),
          own
        )
    })
  )
})

const encrypted = Effect.gen(function* () {
  const made = Certificates.make(yield* folder)
  const { at } = made
  const server = yield* Etcd.encrypted("etcd 3.4", { cert: at("server.pem"), key: at("server.key"), ca: at("ca.pem") })
  return { server, ...made }
})

// Of the same name and id as before, and of another history, further back: as after a restore from a backup.
await describeServer("a store that has gone back", Etcd.own("etcd 3.4"), (server) => {
  it.live("is noticed: nothing that was remembered counts, and tokens go on growing", () =>
    Effect.gen(function* () {
      const { storage } = yield* EtcdStorage.make({
        url: Redacted.make(server.url),
        prefix: "p/",
        operationTimeout: "2 seconds"
      })
      const request = (ownerId: string) => ({
        lockId: "a",
        ownerId,
        holdId: ownerId.padEnd(22, "-"),
        lease: 30_000_000
      })
      const value = (ownerId: string) =>
        JSON.stringify({
          kind: "exclusive",
          format: 1,
          ownerId,
          holds: [request(ownerId).holdId],
          token: 3,
          version: 3,
          lockBeginTime: 0,
          leaseExpireTime: 500_000,
          data: ""
        })
      const put = (ownerId: string) =>
        server.admin("kv/put", { key: Etcd.base64("p/a"), value: Etcd.base64(value(ownerId)) })
      // One revision of the key, in two histories.
      yield* put("old")
      const first = yield* storage.claim(request("me"))
      assert.strictEqual(first._tag === "Held" && first.holder?.ownerId, "old")
      for (let i = 0; i < 20; i++) yield* server.admin("kv/put", { key: Etcd.base64("other"), value: "" })
      yield* storage.get("a")
      yield* Effect.sleep("600 millis")
      yield* server.erase
      yield* server.start
      yield* put("new")
      yield* Effect.retry(storage.get("other"), stubborn)
      // Observed from now on: what was seen of the other one does not count.
      const second = yield* storage.claim(request("me"))
      assert.strictEqual(second._tag === "Held" && second.holder?.ownerId, "new")
      yield* Effect.sleep("600 millis")
      const third = yield* storage.claim(request("me"))
      assert.isAbove(third._tag === "Claimed" ? third.record.token : 0, 20)
    })
  )
})

await describeServer("etcd over TLS", encrypted, ({ issue, read, server }) => {
  const url = Redacted.make(`etcds://localhost:${server.port}`)
  const client = (name = "client") => ({ cert: read(`${name}.pem`), key: Redacted.make(read(`${name}.key`)) })
  const given = { ca: read("ca.pem"), ...client() }
  const claim = { lockId: "a", ownerId: "me", holdId: "h".repeat(22), lease: 1_000_000 }

  it.live("serves who shows a certificate and trusts its authority, and nobody else; the error says what to do", () =>
    Effect.gen(function* () {
      const { storage } = yield* EtcdStorage.make({ url, tls: given })
      const outcome = yield* storage.claim(claim)
      assert.strictEqual(outcome._tag, "Claimed")
      issue("stranger", { authority: "other" })
      const refused: ReadonlyArray<readonly [EtcdStorage.Options, RegExp]> = [
        [{ url, tls: client() }, /tls: \{ ca \}/],
        [{ url, tls: { ca: given.ca } }, /tls: \{ cert, key \}/],
        [{ url, tls: { ca: given.ca, ...client("stranger") } }, /tls: \{ cert, key \}/],
        [{ url, tls: { ...given, ca: read("other.pem") } }, /tls: \{ ca \}/],
        [{ url: Redacted.make(`etcds://127.0.0.2:${server.port}`), tls: given }, /url|is it up/],
        [{ url: Redacted.make(`etcd://${server.host}:${server.port}`) }, /etcds:/]
      ]
      for (const [options, hint] of refused) {
        const error = (yield* Effect.flip(
          EtcdStorage.make({ ...options, operationTimeout: "2 seconds" })
        )) as StorageError
        assert.deepStrictEqual([error._tag, error.applied, error.isRetryable], ["StorageError", "no", true])
        assert.match(error.message, hint)
        assert.notInclude(JSON.stringify(error), "PRIVATE KEY")
      }
    })
  )

  it.live("certificates that are renewed are those of the next connection; the layer lives on", () =>
    Effect.gen(function* () {
      const proxy = yield* Proxy.make(server, { protocol: "bytes" })
      let present = "client"
      let asked = 0
      const { storage } = yield* EtcdStorage.make({
        url: Redacted.make(`etcds://localhost:${proxy.port}`),
        tls: () => {
          asked++
          return { ca: read("ca.pem"), ...client(present) }
        },
        operationTimeout: "2 seconds"
      })
      yield* storage.claim({ ...claim, lockId: "b", lease: 60_000_000 })
      const renew = storage.renew([{ ...claim, lockId: "b" }])
      const before = asked
      yield* renew
      assert.strictEqual(asked, before)
      // The old one counts no more: of an authority that the server does not know.
      issue("expired", { authority: "other" })
      present = "expired"
      yield* proxy.cut
      const error = yield* Effect.flip(Effect.repeat(renew, { schedule: stubborn }))
      assert.isTrue(error.isRetryable)
      const refused = yield* Effect.flip(renew)
      assert.match(refused.message, /tls: \{ cert, key \}/)
      // One that is not to be had, and one that is nonsense, are another try each.
      present = "none"
      const missing = yield* Effect.flip(renew)
      assert.deepStrictEqual([missing.reason, missing.isRetryable, missing.applied], ["Connection", true, "no"])
      issue("renewed", {})
      present = "renewed"
      const [outcome] = yield* Effect.retry(renew, stubborn)
      assert.strictEqual(outcome!._tag, "Renewed")
    })
  )
})
