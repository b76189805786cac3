/** Cassandra that asks who one is: with exactly the documented rights, with less, with passwords that change, and over TLS. */
import { assert, it } from "#harness/vitest"
import * as Cause from "#effect/Cause"
import * as Effect from "#effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Schedule from "#effect/Schedule"
import * as Stream from "#effect/Stream"
import { randomBytes } from "node:crypto"
import * as Fs from "node:fs"
import * as CassandraStorage from "../../src/backends/cassandra/CassandraStorage.js"
import type { StorageError } from "../../src/LockError.js"
import * as Cassandra from "../harness/cassandra.js"
import * as Certificates from "../harness/certificates.js"
import { describeServer } from "../harness/server.js"

const stubborn = Schedule.max([Schedule.spaced("100 millis"), Schedule.recurs(600)])
const second = 1_000_000
const patient = { operationTimeout: "30 seconds" } as const

const facts = (error: unknown) => {
  const { _tag, applied, isRetryable, reason } = error as StorageError
  assert.strictEqual(_tag, "StorageError", String(error))
  return [reason, isRetryable, applied]
}
const refused = ["Permission", false, "no"]

const claimOf = (lockId: string, ownerId = "me") => ({
  lockId,
  ownerId,
  holdId: randomBytes(16).toString("base64url"),
  lease: 600 * second
})

await describeServer("Cassandra with roles", Cassandra.own({ roles: true }), (server) => {
  const { keyspace } = server
  const url = Redacted.make(server.url)
  const password = "pass@word/1"

  /** A role that may do nothing yet. */
  const role = Effect.gen(function* () {
    const name = `role_${randomBytes(4).toString("hex")}`
    yield* server.admin(`CREATE ROLE ${name} WITH PASSWORD = '${password}' AND LOGIN = true`)
    return {
      name,
      user: { name, password: Redacted.make(password) },
      grant: (right: string, on: string) => server.admin(`GRANT ${right} ON ${on} TO ${name}`),
      revoke: (right: string, on: string) => server.admin(`REVOKE ${right} ON ${on} FROM ${name}`)
    }
  })

  it.live("SELECT and MODIFY on the table are enough for all, and CREATE on the keyspace to make it", () =>
    Effect.gen(function* () {
      const table = yield* server.freshTable
      const maker = yield* role
      yield* maker.grant("CREATE", `KEYSPACE ${keyspace}`)
      // Whoever has made a table may do everything with it.
      const made = (yield* CassandraStorage.make({ url, table, user: maker.user, ...patient })).storage
      assert.strictEqual((yield* made.claim(claimOf("first")))._tag, "Claimed")

      const least = yield* role
      yield* least.grant("SELECT", `TABLE ${keyspace}.${table}`)
      yield* least.grant("MODIFY", `TABLE ${keyspace}.${table}`)
      for (const setup of [true, false]) {
        const { storage, versioned } = yield* CassandraStorage.make({ url, table, user: least.user, setup, ...patient })
        const [mine, lockId] = [claimOf(`a ${setup}`), `a ${setup}`]
        const outcome = yield* storage.claim(mine)
        if (outcome._tag !== "Claimed") return assert.fail()
        assert.strictEqual((yield* storage.claim(claimOf(lockId, "you")))._tag, "Held")
        assert.strictEqual((yield* storage.renew([mine]))[0]!._tag, "Renewed")
        assert.strictEqual((yield* storage.get(lockId))._tag, "Some")
        assert.isAbove((yield* Stream.runCollect(storage.list)).length, 0)
        assert.strictEqual((yield* storage.release(mine))._tag, "Released")
        const { token } = outcome.record
        yield* storage.claim(mine)
        assert.strictEqual((yield* storage.revoke({ lockId, token: token + 1, when: "now" }))._tag, "Revoked")
        yield* versioned.create(`b ${setup}`, 1, { ...outcome.record, lockId: `b ${setup}` })
        yield* versioned.delete(`b ${setup}`, 1)
      }
    })
  )

  it.live("with less one is told so, and the password is in no message", () =>
    Effect.gen(function* () {
      const table = yield* server.freshTable
      const none = yield* role
      const open = (more: Partial<CassandraStorage.Options>) =>
        CassandraStorage.make({ url, table, ...patient, ...more })
      const told = (error: unknown, words: string) => {
        assert.deepStrictEqual(facts(error), refused)
        const { message } = error as StorageError
        assert.include(message, words)
        assert.notInclude(message + Cause.pretty(Cause.fail(error)), password)
      }
      // It may not make the table, and then it may not read it.
      told(yield* Effect.flip(open({ user: none.user })), "CREATE on the keyspace")
      yield* open({ user: { name: Cassandra.superuser, password: Redacted.make(Cassandra.superuser) } })
      told(yield* Effect.flip(open({ user: none.user })), "SELECT and MODIFY")
      yield* none.grant("SELECT", `TABLE ${keyspace}.${table}`)
      const { storage } = yield* open({ user: none.user })
      assert.strictEqual((yield* storage.get("a"))._tag, "None")
      told(yield* Effect.flip(storage.claim(claimOf("a"))), "SELECT and MODIFY")

      told(yield* Effect.flip(open({ user: { name: none.name, password: Redacted.make(`${password}!`) } })), "password")
      told(yield* Effect.flip(open({ user: { name: "nobody", password: Redacted.make(password) } })), "password")
      // Who says nothing is somebody whom the server does not let in.
      told(yield* Effect.flip(open({})), "")
    })
  )

  it.live("name and password may stand in the url, and rights that are taken are missed at once", () =>
    Effect.gen(function* () {
      const table = yield* server.freshTable
      const some = yield* role
      yield* server.admin(CassandraStorage.ddl({ keyspace, table }).replace(/;$/, ""))
      for (const right of ["SELECT", "MODIFY"]) yield* some.grant(right, `TABLE ${keyspace}.${table}`)
      const inUrl = server.url.replace("://", `://${some.name}:${encodeURIComponent(password)}@`)
      const { storage } = yield* CassandraStorage.make({ url: Redacted.make(inUrl), table, ...patient })
      const mine = claimOf("a")
      assert.strictEqual((yield* storage.claim(mine))._tag, "Claimed")
      yield* some.revoke("MODIFY", `TABLE ${keyspace}.${table}`)
      assert.deepStrictEqual(facts(yield* Effect.flip(storage.renew([mine]))), refused)
      yield* some.grant("MODIFY", `TABLE ${keyspace}.${table}`)
      assert.strictEqual((yield* storage.renew([mine]))[0]!._tag, "Renewed")
    })
  )

  it.live("who we are is asked for at each new connection", () =>
    Effect.gen(function* () {
      const table = yield* server.freshTable
      const [first, next] = [yield* role, yield* role]
      yield* server.admin(CassandraStorage.ddl({ keyspace, table }).replace(/;$/, ""))
      for (const { grant } of [first, next])
        for (const right of ["SELECT", "MODIFY"]) yield* grant(right, `TABLE ${keyspace}.${table}`)
      let now = first.user
      let asked = 0
      const { storage } = yield* CassandraStorage.make({
        url,
        table,
        ...patient,
        user: () => {
          asked++
          return now
        }
      })
      const fixed = (yield* CassandraStorage.make({ url, table, ...patient, user: first.user })).storage
      const mine = claimOf("a")
      yield* storage.claim(mine)
      now = next.user
      yield* server.admin(`ALTER ROLE ${first.name} WITH LOGIN = false`)
      // The connection that there is goes on.
      assert.strictEqual((yield* storage.renew([mine]))[0]!._tag, "Renewed")
      const before = asked
      yield* server.kill
      yield* server.start
      const [answer] = yield* Effect.retry(storage.renew([mine]), stubborn)
      assert.strictEqual(answer!._tag, "Renewed")
      assert.isAbove(asked, before)
      // Who is always the same is told why no node is there for him.
      const locked = yield* Effect.flip(fixed.get("a"))
      assert.deepStrictEqual(facts(locked), refused)
      assert.include(locked.message, "AuthenticationError")
      // What cannot be asked is a failure to connect, and says so.
      const failed = yield* Effect.flip(
        CassandraStorage.make({
          url,
          table,
          ...patient,
          user: () => {
            throw new Error("no vault")
          }
        })
      )
      assert.deepStrictEqual(facts(failed), ["Connection", true, "no"])
      assert.include(failed.message, "no vault")
    })
  )
})

const encrypted = Effect.gen(function* () {
  const certificates = yield* Certificates.scoped("Cassandra", ({ issue, read }, directory) => {
    issue("node", { names: "IP:127.0.0.1,DNS:locks.example" })
    Fs.writeFileSync(`${directory}/both.pem`, `${read("node.key")}\n${read("node.pem")}`)
  })
  const server = yield* Cassandra.own({ tls: { key: certificates.at("both.pem"), ca: certificates.at("ca.pem") } })
  return { certificates, server }
})

await describeServer("Cassandra that speaks TLS", encrypted, ({ certificates, server }) => {
  const { read } = certificates
  const client = { cert: read("client.pem"), key: Redacted.make(read("client.key")) }
  const url = Redacted.make(server.url.replace("cassandra:", "cassandras:"))
  const open = (table: string, tls: CassandraStorage.Options["tls"]) =>
    CassandraStorage.make({ url, table, tls, ...patient })

  it.live("serves who shows a certificate, and is served by nobody who does not know its authority", () =>
    Effect.gen(function* () {
      const table = yield* server.freshTable
      for (const servername of [undefined, "locks.example"]) {
        const { storage } = yield* open(table, { ca: read("ca.pem"), ...client, servername })
        assert.strictEqual((yield* storage.claim(claimOf(`a ${servername}`)))._tag, "Claimed")
      }
      for (const tls of [
        undefined,
        client,
        { ca: read("other.pem"), ...client },
        { ca: read("ca.pem") },
        { ca: read("ca.pem"), ...client, servername: "other.example" }
      ]) {
        const error = yield* Effect.flip(open(table, tls))
        assert.deepStrictEqual(facts(error), ["Connection", true, "no"])
      }
      const plain = yield* Effect.flip(CassandraStorage.make({ url: Redacted.make(server.url), table, ...patient }))
      assert.strictEqual(facts(plain)[0], "Connection")
    })
  )

  it.live("certificates that change are asked for when a node is lost", () =>
    Effect.gen(function* () {
      const table = yield* server.freshTable
      let asked = 0
      let right = true
      const { storage } = yield* open(table, () => {
        asked++
        return { ca: read(right ? "ca.pem" : "other.pem"), ...client }
      })
      const mine = claimOf("a")
      yield* storage.claim(mine)
      const before = asked
      yield* server.kill
      right = false
      // Nobody is there, and then nobody who is trusted.
      assert.strictEqual((yield* Effect.flip(storage.get("a"))).reason, "Connection")
      yield* server.start
      right = true
      const [answer] = yield* Effect.retry(storage.renew([mine]), stubborn)
      assert.strictEqual(answer!._tag, "Renewed")
      assert.isAbove(asked, before)
    })
  )
})
