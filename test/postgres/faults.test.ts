/** Faults that people met: each must harm no more than what it hits, and be told. */
import { assert, it } from "#harness/vitest"
import * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import * as Option from "#effect/Option"
import * as Stream from "#effect/Stream"
import * as Redacted from "effect/Redacted"
import { randomBytes } from "node:crypto"
import * as Net from "node:net"
import Pg from "pg"
import * as PostgresStorage from "../../src/backends/postgres/PostgresStorage.js"
import * as Storage from "../../src/Storage.js"
import * as Proxy from "../harness/proxy.js"
import { describeServer } from "../harness/server.js"
import * as Shared from "../harness/shared.js"
import * as Logged from "../support/logged.js"
import { ask, connected } from "../support/pgClient.js"

const hold = () => randomBytes(16).toString("base64url")
const claim = (storage: Storage.Service, lockId: string, ownerId: string, holdId = hold()) =>
  storage.claim({ lockId, ownerId, holdId, lease: 30_000_000, ownerLabel: "host pid 7" })

/** How many sessions of this database wait for a lock of the server. */
const waitingForLocks = (admin: Parameters<typeof ask>[0]) =>
  Effect.map(
    ask(
      admin,
      "SELECT count(*)::int AS n FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    ),
    ([{ n }]) => n as number
  )

await describeServer("faults around PostgresStorage", Shared.postgres, (server) => {
  const poolAt = (url: string, max: number) =>
    Effect.acquireRelease(
      Effect.sync(() => {
        const pool = new Pg.Pool({ connectionString: url, max })
        pool.on("error", () => {})
        return pool
      }),
      (pool) => Effect.promise(() => pool.end())
    )

  it.live(
    "PGOPTIONS is obeyed by a pool of our own, behind a pooler, and by the program's pool: all use one table",
    () =>
      Effect.gen(function* () {
        const url = yield* server.freshDatabase
        const admin = yield* connected(url)
        yield* ask(admin, "CREATE SCHEMA tenant")
        const former = process.env.PGOPTIONS
        yield* Effect.acquireRelease(
          Effect.sync(() => (process.env.PGOPTIONS = "-c search_path=tenant")),
          () =>
            Effect.sync(() => {
              if (former === undefined) delete process.env.PGOPTIONS
              else process.env.PGOPTIONS = former
            })
        )
        const redacted = Redacted.make(url)
        const all = [
          yield* PostgresStorage.make({ url: redacted }),
          yield* PostgresStorage.make({ url: redacted, pooler: true }),
          yield* PostgresStorage.makeFromPool({ pool: yield* poolAt(url, 2) })
        ]
        const outcomes = yield* Effect.forEach(all, ({ storage }, i) => claim(storage, "a", `owner ${i}`))
        assert.deepStrictEqual(
          outcomes.map((outcome) => outcome._tag),
          ["Claimed", "Held", "Held"]
        )
        assert.deepStrictEqual(yield* ask(admin, "SELECT schemaname FROM pg_tables WHERE tablename = 'storage_lock'"), [
          { schemaname: "tenant" }
        ])
      })
  )

  it.live("options of the URL are obeyed by every way to the server, beside ours", () =>
    Effect.gen(function* () {
      const url = yield* server.freshDatabase
      const admin = yield* connected(url)
      yield* ask(admin, "CREATE SCHEMA tenant")
      const theirs = new URL(url)
      theirs.searchParams.set("options", "-c search_path=tenant")
      const redacted = Redacted.make(theirs.toString())
      const one = yield* PostgresStorage.make({ url: redacted })
      const two = yield* PostgresStorage.make({ url: redacted, pooler: true })
      assert.strictEqual((yield* claim(one.storage, "a", "me"))._tag, "Claimed")
      assert.strictEqual((yield* claim(two.storage, "a", "you"))._tag, "Held")
      assert.deepStrictEqual(yield* ask(admin, "SELECT schemaname FROM pg_tables WHERE tablename = 'storage_lock'"), [
        { schemaname: "tenant" }
      ])
    })
  )

  it.live("a parameter that the driver does not know is refused by name, before any I/O", () =>
    Effect.gen(function* () {
      for (const name of [
        "pgbouncer=true",
        "target_session_attrs=read-write",
        "channel_binding=require",
        "sslmode=allow",
        "dbname=other",
        "service=x"
      ]) {
        const error = yield* Effect.flip(
          PostgresStorage.make({ url: Redacted.make(`postgres://u@127.0.0.1:1/db?${name}`) })
        )
        assert.deepInclude(error, { _tag: "InvalidOptions", field: "url" })
        assert.include(error.message, name.split("=")[0]!)
      }
      const several = yield* Effect.flip(PostgresStorage.make({ url: Redacted.make("postgres://u@a:1,b:2/db") }))
      assert.match(several.message, /several hosts/)
    })
  )

  it.live("a proxy that refuses the settings of a connection is told as that, with what to do", () =>
    Effect.gen(function* () {
      // No server refuses them; proxies of clouds do.
      const refusing = (code: string) =>
        Effect.acquireRelease(
          Effect.callback<Net.Server>((resume) => {
            const fields = `SFATAL\0C${code}\0Munsupported startup parameter: plan_cache_mode\0\0`
            const head = Buffer.alloc(5)
            head.write("E")
            head.writeInt32BE(4 + fields.length, 1)
            const proxy = Net.createServer((socket) => {
              socket.on("error", () => {})
              socket.once("data", () => socket.end(Buffer.concat([head, Buffer.from(fields)])))
            })
            proxy.listen(0, "127.0.0.1", () => resume(Effect.succeed(proxy)))
          }),
          (proxy) => Effect.callback<void>((resume) => void proxy.close(() => resume(Effect.void)))
        )
      for (const code of ["0A000", "08P01", "42704", "22023"]) {
        const proxy = yield* refusing(code)
        const url = Redacted.make(`postgres://app@127.0.0.1:${(proxy.address() as Net.AddressInfo).port}/app`)
        const refused = (pooler: boolean) => Effect.flip(Effect.scoped(PostgresStorage.make({ url, pooler })))
        const error = yield* refused(false)
        assert.deepInclude(error, { _tag: "StorageError", reason: "Connection", applied: "no", isRetryable: true })
        assert.match(error.message, /then set `pooler: true`/)
        // Who has set it is not told to.
        assert.notMatch((yield* refused(true)).message, /set `pooler: true`/)
      }
    })
  )

  it.live("a URL that changes is asked for at each connection", () =>
    Effect.gen(function* () {
      const url = yield* server.freshDatabase
      let asked = 0
      const { storage } = yield* PostgresStorage.make({
        url: Effect.sync(() => (asked++, Redacted.make(url))),
        notify: false
      })
      assert.strictEqual((yield* claim(storage, "a", "me"))._tag, "Claimed")
      const before = asked
      assert.isAbove(before, 0)
      const admin = yield* connected(url)
      yield* ask(
        admin,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
      )
      yield* Effect.retry(claim(storage, "b", "me"), { times: 3 })
      assert.isAbove(asked, before)
      const bad = yield* Effect.flip(PostgresStorage.make({ url: () => Promise.reject(new Error("no token")) }))
      assert.deepInclude(bad, { _tag: "StorageError", reason: "Connection", isRetryable: true })
    })
  )

  it.live("a URL that is never told, when the connection for wake-ups is made, is warned of, and asked for again", () =>
    Logged.heard((lines) =>
      Effect.gen(function* () {
        const url = Redacted.make(yield* server.freshDatabase)
        let isSilent = false
        const { storage } = yield* PostgresStorage.make({
          url: Effect.suspend(() => (isSilent ? Effect.never : Effect.succeed(url)))
        })
        yield* claim(storage, "a", "me")
        isSilent = true
        const heard: Array<string> = []
        yield* Effect.forkScoped(Stream.runForEach(storage.wakeUps, (hint) => Effect.sync(() => void heard.push(hint))))
        while (Logged.at(lines, "Warning").length === 0) yield* Effect.sleep("50 millis")
        assert.match(Logged.at(lines, "Warning")[0]!.message, /no wake-ups for now.*did not answer within/)
        assert.deepStrictEqual(heard, [])
        isSilent = false
        while (heard.length === 0) yield* Effect.sleep("50 millis")
        assert.deepStrictEqual(heard, ["all"])
      })
    )
  )

  it.live("a hint that may not be sent fails no release and no revocation", () =>
    Effect.gen(function* () {
      const url = yield* server.freshDatabase
      const admin = yield* connected(url)
      const role = `quiet_${randomBytes(4).toString("hex")}`
      yield* Effect.scoped(PostgresStorage.make({ url: Redacted.make(url) }))
      yield* Effect.acquireRelease(
        ask(
          admin,
          `CREATE ROLE ${role} LOGIN; GRANT SELECT, INSERT, UPDATE, DELETE ON storage_lock TO ${role}; REVOKE EXECUTE ON FUNCTION pg_notify FROM public`
        ),
        () => ask(admin, `DROP OWNED BY ${role}; DROP ROLE ${role}`)
      )
      const theirs = new URL(url)
      theirs.username = role
      const { storage } = yield* PostgresStorage.make({ url: Redacted.make(theirs.toString()) })
      for (const lockId of ["a", "b"]) {
        const holdId = hold()
        yield* claim(storage, lockId, "me", holdId)
        assert.deepStrictEqual(yield* storage.release({ lockId, holdId }), { _tag: "Released", remaining: 0 })
      }
      const forced = yield* claim(storage, "c", "me")
      const token = forced._tag === "Claimed" ? forced.record.token : 0
      assert.strictEqual((yield* storage.revoke({ lockId: "c", token, when: "now" }))._tag, "Revoked")
    })
  )

  const ways = ["our own pool", "the program's pool", "a pool of `pooler: true`, straight at a server"] as const
  for (const way of ways) {
    it.live(`statements that nobody waits for do not pile up at the server: ${way}`, () =>
      Effect.gen(function* () {
        const url = yield* server.freshDatabase
        const size = 2
        const common = { operationTimeout: "400 millis", notify: false } as const
        const opened =
          way === "the program's pool"
            ? PostgresStorage.makeFromPool({ pool: yield* poolAt(url, size), ...common })
            : PostgresStorage.make({
                url: Redacted.make(url),
                poolSize: size,
                pooler: way !== "our own pool",
                ...common
              })
        // It may not be ready in that time either.
        const { storage } = yield* Effect.retry(opened, { times: 20 })
        yield* Effect.retry(claim(storage, "a", "me"), { times: 20 })
        const admin = yield* connected(url)
        const locker = yield* connected(url)
        yield* ask(locker, "BEGIN; LOCK TABLE storage_lock IN ACCESS EXCLUSIVE MODE")
        const waiting = waitingForLocks(admin)
        let most = 0
        for (let round = 0; round < 12; round++) {
          yield* Effect.forEach(
            ["b", "c", "d", "e"],
            (id) =>
              Effect.exit(Effect.provideService(claim(storage, id, "me"), Storage.TimeLimit, Duration.millis(150))),
            { concurrency: 4 }
          )
          most = Math.max(most, yield* waiting)
        }
        assert.isAtLeast(most, 1)
        // Those that are given up are stopped, or left to themselves: at most so many again as the pool has, where the server is slow to stop them.
        assert.isAtMost(most, 2 * size)
        yield* waiting.pipe(
          Effect.delay("20 millis"),
          Effect.repeat({ until: (n) => n === 0 }),
          Effect.timeout("1 minute")
        )
        yield* ask(locker, "COMMIT")
        assert.strictEqual((yield* Effect.retry(claim(storage, "b", "me"), { times: 20 }))._tag, "Claimed")
      })
    )
  }

  it.live("a statement that reaches the server after it was given up is stopped there", () =>
    Effect.gen(function* () {
      const url = yield* server.freshDatabase
      const proxy = yield* Proxy.make(server)
      const { storage } = yield* PostgresStorage.make({
        url: Redacted.make(proxy.url(url)),
        pooler: true,
        notify: false
      })
      yield* claim(storage, "a", "me")
      const admin = yield* connected(url)
      const locker = yield* connected(url)
      yield* ask(locker, "BEGIN; LOCK TABLE storage_lock IN ACCESS EXCLUSIVE MODE")
      const waiting = Effect.delay(waitingForLocks(admin), "20 millis")
      // Nor can the server be asked to stop it, until it has begun.
      yield* proxy.hang(true)
      yield* proxy.refuse(true)
      const limited = Effect.provideService(claim(storage, "b", "me"), Storage.TimeLimit, Duration.millis(150))
      assert.strictEqual((yield* Effect.flip(limited)).reason, "Timeout")
      yield* proxy.hang(false)
      yield* Effect.repeat(waiting, { until: (n) => n === 1 }).pipe(Effect.timeout("1 minute"))
      yield* proxy.refuse(false)
      yield* Effect.repeat(waiting, { until: (n) => n === 0 }).pipe(Effect.timeout("1 minute"))
      yield* ask(locker, "COMMIT")
    })
  )

  it.live("rows that row-level security hides do not look free", () =>
    Effect.gen(function* () {
      const url = yield* server.freshDatabase
      const admin = yield* connected(url)
      const role = `hidden_${randomBytes(4).toString("hex")}`
      yield* Effect.scoped(PostgresStorage.make({ url: Redacted.make(url) }))
      yield* Effect.acquireRelease(
        ask(admin, `CREATE ROLE ${role} LOGIN; GRANT SELECT, INSERT, UPDATE, DELETE ON storage_lock TO ${role}`),
        () => ask(admin, `DROP OWNED BY ${role}; DROP ROLE ${role}`)
      )
      const theirs = new URL(url)
      theirs.username = role
      const options = { url: Redacted.make(theirs.toString()), notify: false }
      const { storage } = yield* PostgresStorage.make(options)
      const holdId = hold()
      yield* claim(storage, "a", "me", holdId)
      yield* ask(admin, "ALTER TABLE storage_lock ENABLE ROW LEVEL SECURITY")
      assert.deepInclude(yield* Effect.flip(claim(storage, "a", "you")), { reason: "Permission", applied: "no" })
      assert.deepInclude(yield* Effect.flip(claim(storage, "b", "you")), { reason: "Permission", applied: "no" })
      assert.strictEqual((yield* Effect.flip(storage.get("a"))).reason, "Permission")
      assert.strictEqual((yield* Effect.flip(storage.release({ lockId: "a", holdId }))).reason, "Permission")
      assert.deepStrictEqual(yield* storage.renew([{ lockId: "a", holdId, lease: 1_000_000 }]), [{ _tag: "NotHeld" }])
      assert.deepInclude(yield* Effect.flip(PostgresStorage.make(options)), {
        _tag: "StorageError",
        reason: "Permission"
      })
      yield* ask(admin, "CREATE POLICY everything ON storage_lock USING (true)")
      assert.isTrue(Option.isSome(yield* storage.get("a")))
      assert.isTrue(Option.isNone(yield* storage.get("nothing")))
      yield* Effect.scoped(PostgresStorage.make(options))
    })
  )

  it.live("a table of an earlier version gets its column, or is refused with the statement that adds it", () =>
    Effect.gen(function* () {
      const url = yield* server.freshDatabase
      const admin = yield* connected(url)
      yield* ask(admin, PostgresStorage.ddl())
      yield* ask(admin, "ALTER TABLE storage_lock DROP COLUMN owner_label")
      const error = yield* Effect.flip(PostgresStorage.make({ url: Redacted.make(url), setup: false }))
      assert.deepInclude(error, { _tag: "StorageError", reason: "Schema" })
      assert.match(error.message, /ALTER TABLE "storage_lock" ADD COLUMN IF NOT EXISTS owner_label/)
      const made = yield* Effect.forEach(
        [1, 2, 3, 4],
        () => PostgresStorage.make({ url: Redacted.make(url), poolSize: 1 }),
        { concurrency: 4 }
      )
      const outcome = yield* claim(made[0]!.storage, "a", "me")
      assert.isTrue(outcome._tag === "Claimed" && outcome.record.ownerLabel === "host pid 7")
    })
  )

  it.live("the first try after a failover succeeds, on a connection that is new", () =>
    Effect.gen(function* () {
      const url = yield* server.freshDatabase
      const admin = yield* connected(url)
      yield* Effect.scoped(PostgresStorage.make({ url: Redacted.make(url) }))
      const database = new URL(url).pathname.slice(1)
      yield* ask(admin, `ALTER DATABASE ${database} SET default_transaction_read_only = on`)
      const { storage } = yield* PostgresStorage.make({ url: Redacted.make(url), notify: false, poolSize: 2 })
      assert.deepInclude(yield* Effect.flip(claim(storage, "a", "me")), {
        reason: "Connection",
        applied: "no",
        isRetryable: true
      })
      // Connections to what cannot write stand idle in the pool.
      yield* Effect.forEach(["a", "b"], storage.get, { concurrency: 2 })
      yield* ask(admin, `ALTER DATABASE ${database} RESET default_transaction_read_only`)
      assert.strictEqual((yield* claim(storage, "a", "me"))._tag, "Claimed")
    })
  )

  it.live(
    "nor do connections of the program's pool cost a try that it opened before a failover, and we never used",
    () =>
      Effect.gen(function* () {
        const url = yield* server.freshDatabase
        const admin = yield* connected(url)
        const pool = yield* poolAt(url, 3)
        const { storage } = yield* PostgresStorage.makeFromPool({ pool })
        const database = new URL(url).pathname.slice(1)
        yield* ask(admin, `ALTER DATABASE ${database} SET default_transaction_read_only = on`)
        // The program's own use of its pool: all three are to what cannot write.
        const opened = yield* Effect.promise(() => Promise.all([pool.connect(), pool.connect(), pool.connect()]))
        const settings = yield* Effect.promise(() =>
          Promise.all(opened.map((one) => one.query("SHOW transaction_read_only")))
        )
        // One was opened before, by the storage.
        assert.isAtLeast(settings.filter(({ rows }) => rows[0].transaction_read_only === "on").length, 2)
        yield* ask(admin, `ALTER DATABASE ${database} RESET default_transaction_read_only`)
        opened[0].release(true)
        for (const one of opened.slice(1)) one.release()
        assert.strictEqual((yield* claim(storage, "a", "me"))._tag, "Claimed")
      })
  )
})
