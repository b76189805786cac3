/** What `connect` takes, and how it says what is wrong. */
import { assert, describe, it } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import * as Layer from "#effect/Layer"
import {
  connect,
  InvalidOptions,
  LockError,
  type LogEntry,
  MissingDriver,
  StorageError,
  UnknownScheme
} from "../../src/promise/index.js"
import { schemes } from "../../src/connect/connect.js"
import * as drivers from "../../src/connect/errors.js"
import { StorageError as CoreError } from "../../src/LockError.js"
import * as Storage from "../../src/Storage.js"
import { memory, rejected, locksOn } from "../support/promises.js"
import * as unhandled from "../support/unhandled.js"

unhandled.refused()

describe("connect", () => {
  it("to memory: a storage of its own each time", async () => {
    await using one = await connect("memory:")
    await using two = await connect("memory:")
    await using _a = await one.acquire("a")
    await using b = await two.tryAcquire("a")
    assert.isDefined(b)
  })

  it("takes a layer of this library", async () => {
    const storage = memory()
    await using one = await connect(Layer.succeed(Storage.Storage, storage))
    await using two = await connect(Layer.succeed(Storage.Storage, storage))
    await using _a = await one.acquire("a")
    assert.isUndefined(await two.tryAcquire("a"))
  })

  it("refuses nonsense before anybody is connected to", async () => {
    let built = 0
    const layer = Layer.effect(
      Storage.Storage,
      Effect.sync(() => {
        built++
        return memory()
      })
    )
    for (const [options, message] of [
      [{ leaseExpireAfter: "5 secs" }, /^leaseExpireAfter must be a duration from .* but is "5 secs"$/],
      [{ leaseExpireAfter: -1 }, /^leaseExpireAfter must be .* but is -1$/],
      [{ leaseExpireAfter: 1000, leaseRefreshInterval: 2000 }, /^leaseRefreshInterval must be .* but is 2000$/],
      [{ namespce: "mine" }, /^namespce must be the name of an option \(did you mean namespace\?\), but is unknown$/],
      [{ namespace: "" }, /^namespace must be /],
      [{ ownerId: "me" }, /^ownerId must be the name of an option/],
      [{ log: "console" }, /^log must be a function, or false, but is of type string$/],
      [{ storage: "postgres" }, /^storage must be an object/],
      [{ storage: { table: "mine" } }, /^storage\.table must be given to the layer, but is given beside a layer$/],
      [7, /^options must be an object, but is 7$/]
    ] as const) {
      const error = await rejected(connect(layer, options as never))
      assert.instanceOf(error, InvalidOptions)
      assert.strictEqual(error.code, "INVALID_OPTIONS")
      assert.match((error as Error).message, message)
    }
    for (const given of [undefined, null, 7, {}, { pipe: () => {} }]) {
      const error = await rejected(connect(given as never))
      assert.match((error as Error).message, /^url must be a text, a function that gives one, or a layer/)
    }
    assert.strictEqual(built, 0)
  })

  it("names an option of the storage by where it stands, and no wrapper of Effect for a secret", async () => {
    for (const [url, storage, message] of [
      [
        "postgres://h/a",
        { tabel: "x" },
        "storage.tabel must be the name of an option (did you mean table?), but is unknown"
      ],
      [
        "etcds://h",
        { tls: { kay: "x" } },
        "storage.tls.kay must be the name of an option (did you mean tls.key?), but is unknown"
      ],
      ["mssql://u@h/a", { password: 7 }, "storage.password must be a text, but is of type number"],
      ["etcd://h", { user: { name: "u" } }, "storage.user must be { name, password }, but is something else"],
      ["memory:", { table: "x" }, "storage.table must be left out: memory has no options, but is unknown"]
    ] as const)
      assert.strictEqual(((await rejected(connect(url, { storage: storage as never }))) as Error).message, message)
    for (const url of schemes) {
      const { message } = (await rejected(connect(`${url}//[`))) as Error
      assert.notInclude(message, "Redacted")
      assert.match(message, /^(url|database) must be /)
    }
  })

  it("refuses what is wrong for this storage alone, and leaves nothing open", async () => {
    let open = 0
    const coarse = { ...memory().guarantees, shortestLease: 60_000_000 }
    const layer = Layer.effect(
      Storage.Storage,
      Effect.acquireRelease(
        Effect.sync(() => {
          open++
          return { ...memory(), guarantees: coarse }
        }),
        () => Effect.sync(() => void open--)
      )
    )
    const error = await rejected(connect(layer))
    assert.match((error as Error).message, /^leaseExpireAfter must be a duration from 1m/)
    assert.strictEqual(open, 0)
  })

  it("tells what fails in a layer, as a plain error", async () => {
    const failure = new CoreError({
      reason: "Permission",
      operation: "test",
      isRetryable: false,
      applied: "no",
      message: "no way in",
      cause: new Error("28P01")
    })
    const error = (await rejected(connect(Layer.unwrap(Effect.fail(failure))))) as StorageError
    assert.instanceOf(error, StorageError)
    assert.isTrue(error instanceof LockError)
    assert.notInstanceOf(error, CoreError)
    assert.deepStrictEqual(
      [error.reason, error.message, (error.cause as Error).message],
      ["Permission", "no way in", "28P01"]
    )

    const missing = new drivers.MissingDriver({ storage: "PostgresStorage", packages: ["pg"], cause: undefined })
    const told = (await rejected(connect(Layer.unwrap(Effect.fail(missing))))) as MissingDriver
    assert.instanceOf(told, MissingDriver)
    assert.deepStrictEqual([told.code, told.packages], ["MISSING_DRIVER", ["pg"]])
    assert.match(
      told.message,
      /^PostgresStorage of effect-storage-lock needs pg, which is not installed: `npm install pg`\.$/
    )
  })

  it("lists the schemes that there are, and says nothing of a text that may be a secret", async () => {
    const error = (await rejected(connect("cassandre://host"))) as UnknownScheme
    assert.instanceOf(error, UnknownScheme)
    assert.strictEqual(error.code, "UNKNOWN_SCHEME")
    assert.includeMembers([...error.known], ["postgres:", "mongodb+srv:", "sqlite:", "dynamodb:"])
    assert.match(
      error.message,
      /^url must be the URL of a storage \(postgres:, .*\), but is one of cassandre: \(did you mean cassandra:\?\)$/
    )
    for (const secret of ["hunter2", "hunter2:x@host/db", "", "h4nter2://x"]) {
      const { message } = (await rejected(connect(secret))) as Error
      assert.match(message, /but is a text without a known scheme$/)
      assert.notInclude(message, "nter2")
    }
  })
})

describe("log", () => {
  it("is given what the library says, with fields; who throws harms nothing", async () => {
    const lines: Array<LogEntry> = []
    const locks = await locksOn(memory(), {
      log: (entry) => {
        lines.push(entry)
        throw new Error("a broken logger")
      }
    })
    const lock = await locks.acquire("a", { ownerLabel: "worker 1" })
    await locks.forceRelease("a", { token: lock.token, when: "now" })
    await locks.close()
    const [line] = lines.filter(({ level }) => level === "warn")
    assert.match(line!.message, /^effect-storage-lock: /)
    assert.strictEqual(line!.fields["lockId"], "a")
    assert.strictEqual(line!.fields["reason"], "Forced")
  })
})
