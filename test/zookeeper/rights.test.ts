/** ZooKeeper's rights: with exactly the documented ones, with less, of others, with users that change, and over TLS. */
import { assert, it } from "#harness/vitest"
import * as Cause from "#effect/Cause"
import * as Effect from "#effect/Effect"
import * as Option from "#effect/Option"
import * as Queue from "#effect/Queue"
import * as Redacted from "effect/Redacted"
import * as Schedule from "#effect/Schedule"
import * as Stream from "#effect/Stream"
import { createHash, randomBytes } from "node:crypto"
import * as Fs from "node:fs"
import { join } from "node:path"
import * as ZookeeperStorage from "../../src/backends/zookeeper/ZookeeperStorage.js"
import type { StorageError } from "../../src/LockError.js"
import * as Certificates from "../harness/certificates.js"
import * as Proxy from "../harness/proxy.js"
import { describeServer } from "../harness/server.js"
import * as Shared from "../harness/shared.js"
import * as Zookeeper from "../harness/zookeeper.js"
import * as Nodes from "../support/zookeeperNodes.js"

const second = 1_000_000
const stubborn = Schedule.max([Schedule.spaced("50 millis"), Schedule.recurs(200)])
const [read, write, create, admin] = [1, 2, 4, 16]
const noAuth = -102

const refusal = { reason: "Permission", isRetryable: false, applied: "no" } as const
const facts = (error: unknown) => {
  const { applied, isRetryable, reason } = error as StorageError
  return { reason, isRetryable, applied }
}
const request = (lockId: string, ownerId = "me") => ({
  lockId,
  ownerId,
  holdId: randomBytes(16).toString("base64url"),
  lease: 30 * second
})

const sha1 = (text: string) => createHash("sha1").update(text).digest("base64")
/** Of the user that `digest` makes of a name and a password. */
const of = (user: string, permissions: number) => ({
  permissions,
  scheme: "digest",
  id: `${user.split(":")[0]}:${sha1(user)}`
})

await describeServer("ZooKeeper with users", Shared.zookeeper, (server) => {
  const open = (root: string, user: string | undefined, more: Partial<ZookeeperStorage.Options> = {}) =>
    ZookeeperStorage.make({
      url: Redacted.make(server.url),
      root,
      ...(user === undefined
        ? {}
        : { user: { name: user.split(":")[0]!, password: Redacted.make(user.split(":")[1]!) } }),
      ...more
    })

  it.live("what a user makes is its own, and nobody deletes the node of a lock", () =>
    Effect.gen(function* () {
      const root = `${yield* server.freshRoot}/locks`
      const { storage } = yield* open(root, "me:sesame")
      yield* storage.claim(request("a"))
      const node = `${root}/${Nodes.nameOf("a")}`
      const nodes = yield* Nodes.make(server, "me:sesame")
      assert.deepStrictEqual(yield* nodes.getAcl(root), [of("me:sesame", read | write | create | admin)])
      assert.deepStrictEqual(yield* nodes.getAcl(node), [of("me:sesame", read | write | admin)])
      // Those above are everybody's, as others may have something else below them.
      assert.deepStrictEqual(yield* nodes.getAcl(root.slice(0, -"/locks".length)), [Nodes.anyone(31)])
      assert.strictEqual(yield* nodes.remove(node), noAuth)
      for (const user of ["you:sesame", "me:mistaken", undefined]) {
        assert.strictEqual(yield* (yield* Nodes.make(server, user)).get(root), noAuth)
        const error = (yield* Effect.flip(open(root, user, { acl: "open" }))) as StorageError
        assert.deepStrictEqual(facts(error), refusal)
        assert.include(error.message, "r, w and c on the root")
        for (const secret of ["sesame", "mistaken"])
          assert.notInclude(error.message + Cause.pretty(Cause.fail(error)), secret)
      }
    })
  )

  it.live("without a user everybody may use it, and nobody deletes the node of a lock", () =>
    Effect.gen(function* () {
      const root = yield* server.freshRoot
      const { storage } = yield* open(root, undefined)
      yield* storage.claim(request("a"))
      const nodes = yield* Nodes.make(server)
      assert.deepStrictEqual(yield* nodes.getAcl(root), [Nodes.anyone(read | write | create | admin)])
      assert.strictEqual(yield* nodes.remove(`${root}/${Nodes.nameOf("a")}`), noAuth)
      const other = (yield* open(root, "you:x", { acl: "open" })).storage
      assert.strictEqual((yield* other.claim(request("a", "you")))._tag, "Held")
    })
  )

  it.live("with exactly the documented rights, of a root that was made by hand, everything is done", () =>
    Effect.gen(function* () {
      const root = yield* server.freshRoot
      const user = "me:sesame"
      yield* (yield* Nodes.make(server)).create(root, "", [of(user, read | write | create), of("boss:x", 31)])
      const { storage, versioned } = yield* open(root, user, { setup: false })
      const { storage: waiter } = yield* open(root, user, { setup: false })
      const woken = yield* Queue.unbounded<string>()
      yield* Effect.forkScoped(Stream.runForEach(waiter.wakeUps, (id) => Queue.offer(woken, id)))
      assert.strictEqual(yield* Queue.take(woken), "all")
      const mine = request("a")
      assert.strictEqual((yield* storage.claim(mine))._tag, "Claimed")
      // The rights of a node by hand, too.
      const boss = yield* Nodes.make(server, user)
      yield* boss.setAcl(`${root}/${Nodes.nameOf("a")}`, [of(user, read | write)])
      assert.strictEqual((yield* waiter.claim(request("a", "you")))._tag, "Held")
      assert.strictEqual((yield* storage.renew([mine]))[0]!._tag, "Renewed")
      assert.strictEqual((yield* Stream.runCollect(storage.list)).length, 1)
      assert.strictEqual((yield* storage.release(mine))._tag, "Released")
      assert.strictEqual(yield* Queue.take(woken), "a")
      const outcome = yield* storage.claim(request("b"))
      assert.strictEqual(outcome._tag, "Claimed")
      if (outcome._tag !== "Claimed") return
      assert.strictEqual(
        (yield* storage.revoke({ lockId: "b", token: outcome.record.token, when: "now" }))._tag,
        "Revoked"
      )
      yield* versioned.create("c", 1, { ...outcome.record, lockId: "c" })
      yield* versioned.delete("c", 1)
      assert.isTrue(Option.isNone(yield* versioned.get("c")))
    })
  )

  it.live("with less, what lacks its right is refused, and says so", () =>
    Effect.gen(function* () {
      const root = yield* server.freshRoot
      const user = "me:sesame"
      const nodes = yield* Nodes.make(server, "boss:x")
      yield* nodes.create(root, "", [of("boss:x", 31), of(user, read | write | create)])
      const { storage } = yield* open(root, user, { setup: false })
      const mine = request("held")
      yield* storage.claim(mine)
      yield* nodes.setAcl(root, [of("boss:x", 31), of(user, read)])
      assert.strictEqual((yield* storage.renew([mine]))[0]!._tag, "Renewed")
      assert.deepStrictEqual(facts(yield* Effect.flip(storage.claim(request("fresh")))), refusal)
      yield* nodes.setAcl(root, [of("boss:x", 31)])
      assert.deepStrictEqual(facts(yield* Effect.flip(Stream.runCollect(storage.list))), refusal)
      assert.deepStrictEqual(facts(yield* Effect.flip(open(root, user, { setup: false }))), refusal)
      const own = yield* Nodes.make(server, user)
      yield* own.setAcl(`${root}/${Nodes.nameOf("held")}`, [of(user, read | admin)])
      assert.deepStrictEqual(facts(yield* Effect.flip(storage.renew([mine]))), refusal)
      assert.deepStrictEqual(facts(yield* Effect.flip(storage.release(mine))), refusal)
      assert.strictEqual((yield* storage.claim(request("held", "you")))._tag, "Held")
      yield* own.setAcl(`${root}/${Nodes.nameOf("held")}`, [of(user, admin)])
      for (const attempt of [storage.get("held"), storage.claim(request("held", "you"))])
        assert.deepStrictEqual(facts(yield* Effect.flip(attempt as Effect.Effect<unknown, StorageError>)), refusal)
    })
  )

  it.live("a user who may not make the root is told so, and one without `setup` what to make", () =>
    Effect.gen(function* () {
      const above = yield* server.freshRoot
      yield* (yield* Nodes.make(server)).create(above, "", [of("boss:x", 31), Nodes.anyone(read)])
      assert.deepStrictEqual(facts(yield* Effect.flip(open(`${above}/locks`, "me:sesame"))), refusal)
      const error = (yield* Effect.flip(open(`${above}/locks`, "me:sesame", { setup: false }))) as StorageError
      assert.deepStrictEqual([error.reason, error.isRetryable], ["Schema", false])
      assert.include(error.message, "ddl()")
    })
  )

  it.live("who it is is asked for again for each new connection, within the call", () =>
    Effect.gen(function* () {
      const root = yield* server.freshRoot
      const proxy = yield* Proxy.make(server, { protocol: Zookeeper.protocol })
      let password = "first"
      let asked = 0
      const { storage } = yield* ZookeeperStorage.make({
        url: Redacted.make(`zookeeper://127.0.0.1:${proxy.port}`),
        root,
        user: () => {
          asked++
          return { name: "me", password: Redacted.make(password) }
        }
      })
      const mine = request("a")
      yield* storage.claim(mine)
      assert.strictEqual(asked, 1)
      // An operator gives the nodes to the new password, while the connection of the old one lives.
      const nodes = yield* Nodes.make(server, "me:first")
      for (const path of [`${root}/${Nodes.nameOf("a")}`, root])
        yield* nodes.setAcl(path, [of("me:second", read | write | create | admin)])
      password = "second"
      yield* proxy.cut
      const [renewed] = yield* Effect.retry(storage.renew([mine]), {
        schedule: stubborn,
        while: (error) => error.isRetryable
      })
      assert.strictEqual(renewed!._tag, "Renewed")
      assert.isAbove(asked, 1)
    })
  )
})

const encrypted = Effect.gen(function* () {
  const certificates = yield* Certificates.scoped("ZooKeeper", (made, directory) =>
    Fs.writeFileSync(join(directory, "pair.pem"), `${made.read("server.key")}${made.read("server.pem")}`)
  )
  const server = yield* Zookeeper.encrypted({ pair: certificates.at("pair.pem"), ca: certificates.at("ca.pem") })
  return { certificates, server }
})

await describeServer("ZooKeeper that speaks TLS", encrypted, ({ certificates, server }) => {
  const { issue, read: pem } = certificates
  const client = (name = "client") => ({ cert: pem(`${name}.pem`), key: Redacted.make(pem(`${name}.key`)) })
  const url = Redacted.make(`zookeepers://localhost:${server.port}`)
  const given = () => ({ ca: pem("ca.pem"), ...client() })

  it.live("serves who shows a certificate and trusts its authority, and nobody else; the error says what to do", () =>
    Effect.gen(function* () {
      const { storage } = yield* ZookeeperStorage.make({ url, tls: given() })
      assert.strictEqual((yield* storage.claim(request("a")))._tag, "Claimed")
      issue("stranger", { authority: "other" })
      const refused: ReadonlyArray<readonly [ZookeeperStorage.Options, RegExp]> = [
        [{ url, tls: client() }, /tls: \{ ca \}/],
        [{ url, tls: { ca: pem("ca.pem") } }, /tls: \{ cert, key \}/],
        [{ url, tls: { ca: pem("ca.pem"), ...client("stranger") } }, /tls: \{ cert, key \}/],
        [{ url, tls: { ...given(), ca: pem("other.pem") } }, /tls: \{ ca \}/],
        [{ url: Redacted.make(`zookeeper://${server.host}:${server.port}`) }, /zookeepers:/]
      ]
      for (const [options, hint] of refused) {
        const error = (yield* Effect.flip(
          ZookeeperStorage.make({ ...options, operationTimeout: "10 seconds" })
        )) as StorageError
        assert.deepStrictEqual([error._tag, error.applied, error.isRetryable], ["StorageError", "no", true])
        assert.match(error.message, hint)
        assert.notInclude(JSON.stringify(error), "PRIVATE KEY")
      }
    })
  )

  it.live("a server without TLS, and a certificate for another name, are told as what they are", () =>
    Effect.gen(function* () {
      const other = yield* Shared.zookeeper
      const wrong = (yield* Effect.flip(
        ZookeeperStorage.make({ url: Redacted.make(`zookeepers://${other.host}:${other.port}`), tls: given() })
      )) as StorageError
      assert.match(wrong.message, /zookeeper:\/\/|does the server speak TLS/)
      const named = (yield* Effect.flip(
        ZookeeperStorage.make({ url: Redacted.make(`zookeepers://127.0.0.2:${server.port}`), tls: given() })
      )) as StorageError
      assert.strictEqual(named.reason, "Connection")
    })
  )

  it.live("certificates that are renewed are those of the next connection; the layer lives on", () =>
    Effect.gen(function* () {
      const proxy = yield* Proxy.make(server, { protocol: "bytes" })
      let present = "client"
      let asked = 0
      const { storage } = yield* ZookeeperStorage.make({
        url: Redacted.make(`zookeepers://localhost:${proxy.port}`),
        root: "/renewed",
        tls: () => {
          asked++
          return { ca: pem("ca.pem"), ...client(present) }
        },
        operationTimeout: "5 seconds"
      })
      const mine = { ...request("b"), lease: 60 * second }
      yield* storage.claim(mine)
      const renew = storage.renew([mine])
      const before = asked
      yield* renew
      assert.strictEqual(asked, before)
      // The old one counts no more: of an authority that the server does not know.
      issue("expired", { authority: "other" })
      present = "expired"
      yield* proxy.cut
      const refused = yield* Effect.flip(Effect.repeat(renew, { schedule: stubborn }))
      assert.isTrue(refused.isRetryable)
      // One that is not to be had is another try.
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
