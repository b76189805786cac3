/** Which URL is for which storage, what else it says, and what is told of it. */
import { assert, describe, it } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Redacted from "effect/Redacted"
import { backends } from "../../src/connect/backends.js"
import { type ConnectError, find, open, type Options, schemes, type Url } from "../../src/connect/connect.js"
import { UnknownScheme } from "../../src/connect/errors.js"
import { dynamodb, memory, sqlite } from "../../src/connect/text.js"
import { InvalidOptions, StorageError } from "../../src/LockError.js"
import { entries } from "../harness/aliases.js"
import { freePort } from "../harness/server.js"

const failure = (url: Url, options?: Options): Effect.Effect<ConnectError> =>
  Effect.flip(Effect.scoped(Effect.asVoid(open(url, options)))) as Effect.Effect<ConnectError>

/** Of each scheme a URL whose server is at a port where nobody listens, or that is wrong in a way that only this module tells. */
const closed: Readonly<Record<string, (host: string) => string>> = {
  mongodb: (host) => `mongodb://u:hunter2@${host}/app`,
  oracle: (host) => `oracle://u:hunter2@${host}/app`,
  oracles: (host) => `oracles://u:hunter2@${host}/app`,
  consul: (host) => `consul://u:hunter2@${host}`,
  consuls: (host) => `consuls://u:hunter2@${host}`,
  dynamodb: (host) => `dynamodb://u:hunter2@local/locks?endpoint=${encodeURIComponent(`http://${host}`)}`
}

describe("a scheme", () => {
  const reached = schemes
    .map((scheme) => scheme.slice(0, -1))
    .filter((_) => !["memory", "sqlite", "mongodb+srv"].includes(_))
  for (const scheme of reached) {
    const { name } = backends.find((_) => Object.hasOwn(_.schemes, scheme))!
    it.live(`${scheme}: is ${name}'s, whose real driver asks the server of the URL`, () =>
      Effect.gen(function* () {
        const host = `127.0.0.1:${yield* freePort}`
        const url =
          closed[scheme]?.(host) ??
          `${scheme}://u:hunter2@${host}/${/redis|valkey/.test(scheme) ? "0" : /etcd|search|splunk/.test(scheme) ? "" : "app"}`
        const error = yield* failure(url, { operationTimeout: "2 seconds" })
        assert.instanceOf(error, StorageError)
        assert.match(error.operation, new RegExp(`^${name}\\.`))
        assert.include(["Connection", "Timeout"], error.reason)
        assert.notInclude(JSON.stringify([error, error.message, String(error.cause)]), "hunter2")
      })
    )
  }

  it.effect("is found whatever its case, and however the URL goes on", () =>
    Effect.sync(() => {
      const found = find("VALKEYS://host")
      assert(!(found instanceof UnknownScheme))
      assert.strictEqual(found.text, "rediss://host")
    })
  )

  it.effect("that is http: or https: does not say whose server it is", () =>
    Effect.gen(function* () {
      const error = yield* failure("https://host")
      assert.instanceOf(error, UnknownScheme)
      assert.match(
        error.message,
        /but is one of https:; .*elasticsearch\+https:, opensearch\+https:, splunk\+https:, consuls:$/
      )
    })
  )

  it("is one storage's alone, and every storage that is published has one", () => {
    assert.strictEqual(new Set(schemes).size, schemes.length)
    const names = entries.flatMap(({ subpath }) => {
      const name = /^\.\/(\w+Storage)$/.exec(subpath)?.[1]
      return name === undefined || name === "Storage" ? [] : [name]
    })
    assert.isAtLeast(names.length, 12)
    assert.sameMembers(
      backends.map(({ name }) => name),
      names
    )
  })

  it("is in the list of the page", () => {
    const page = readFileSync(new URL("../../docs/promise.md", import.meta.url), "utf8")
    for (const scheme of schemes) assert.include(page, `\`${scheme}`)
  })
})

describe("the words of a module", () => {
  it.effect("are those of whoever wrote the URL", () =>
    Effect.gen(function* () {
      for (const [url, example] of [
        ["valkey://host:x", "valkey://user:password@host:6379/0 or valkeys://"],
        ["consul://host?wait=1", "consuls://user:password@"],
        ["splunk+http://host?a=1", "splunk+https://user:password@"],
        ["scylla://host", "scylla://user:password@host1:9042,host2:9042/keyspace (scyllas:// for TLS)"],
        ["opensearch+http://host?a=1", "opensearch+https://user:password@"],
        ["elasticsearch://host?a=1", "elasticsearch://user:password@"],
        ["mongodb+srv://host/app?w=1", "locks are written with w=majority"],
        ["postgres://host?nonsense=1", "nonsense"]
      ] as const) {
        const error = yield* failure(url)
        assert.instanceOf(error, InvalidOptions)
        assert.include(error.message, example)
      }
    })
  )
})

describe("options beside a URL", () => {
  it.effect("are those of its storage: another, and one that the URL says too, is refused", () =>
    Effect.gen(function* () {
      for (const [url, options, message] of [
        [
          "postgres://host/app",
          { tabel: "mine" },
          "tabel must be the name of an option (did you mean table?), but is unknown"
        ],
        ["memory:", { table: "mine" }, "table must be left out: memory has no options, but is unknown"],
        [
          "redis://host",
          { url: "redis://other" },
          "url must be said once, but is given beside a URL that says it, too"
        ],
        [
          "dynamodb://local/locks",
          { table: "mine" },
          "table must be said once, but is given beside a URL that says it, too"
        ]
      ] as const) {
        const error = yield* failure(url, options)
        assert.instanceOf(error, InvalidOptions)
        assert.strictEqual(error.message, message)
      }
    })
  )

  it.live("may have secrets as plain texts, and functions that give them", () =>
    Effect.gen(function* () {
      const host = `127.0.0.1:${yield* freePort}`
      for (const [url, options] of [
        [`redis://${host}`, { password: "hunter2" }],
        [`redis://${host}`, { password: async () => "hunter2" }],
        [`mssql://u@${host}/app`, { password: "hunter2" }],
        [`etcd://${host}`, { user: { name: "u", password: "hunter2" } }],
        [`etcd://${host}`, { user: () => ({ name: "u", password: "hunter2" }) }],
        [`elasticsearch+http://${host}`, { apiKey: () => "hunter2" }],
        [`consul://${host}`, { token: "hunter2" }],
        [`splunk+http://${host}`, { token: "hunter2" }],
        [`splunk+http://${host}`, { user: async () => ({ name: "u", password: "hunter2" }) }],
        [`cassandra://${host}/app`, { user: () => ({ name: "u", password: "hunter2" }) }],
        [
          `dynamodb://local?endpoint=http%3A%2F%2F${host}`,
          { credentials: { accessKeyId: "u", secretAccessKey: "hunter2" } }
        ],
        [`postgres://u:p@${host}/app`, { notify: { url: "postgres://u:hunter2@host/app" } }]
      ] as const) {
        const error = yield* failure(url, { ...options, operationTimeout: "2 seconds" })
        assert.instanceOf(error, StorageError)
        assert.notInclude(JSON.stringify([error, error.message]), "hunter2")
      }
    })
  )
})

describe("a function in place of a URL", () => {
  it.live("is asked for each connection, and must stay with its storage", () =>
    Effect.gen(function* () {
      const host = `127.0.0.1:${yield* freePort}`
      let asked = 0
      const first = yield* failure(async () => `redis://u:${asked++}@${host}`)
      assert.instanceOf(first, StorageError)
      assert.isAbove(asked, 1)
      let turn = 0
      const moved = yield* failure(() => (turn++ === 0 ? `redis://${host}` : `etcd://u:hunter2@${host}`))
      assert.instanceOf(moved, StorageError)
      assert.include(moved.message, "the URL of another storage than RedisStorage")
      assert.notInclude(moved.message, "hunter2")
      const broken = yield* failure(() => Promise.reject(new Error("no token for postgres://u:hunter2@host")))
      assert.instanceOf(broken, StorageError)
      assert.notInclude(broken.message, "hunter2")
    })
  )
})

const rule = (of: unknown): string => {
  assert(of instanceof InvalidOptions)
  assert.notInclude(of.message, "hunter2")
  return of.kind
}

describe("sqlite:", () => {
  it("is a path, or memory, and nothing else", () => {
    for (const [url, filename] of [
      ["sqlite:locks.db", "locks.db"],
      ["sqlite:./a/locks.db", "./a/locks.db"],
      ["sqlite:/var/locks.db", "/var/locks.db"],
      ["sqlite:///var/locks.db", "/var/locks.db"],
      ["sqlite:///C:/locks.db", "C:/locks.db"],
      ["sqlite:C:\\locks.db", "C:\\locks.db"],
      ["sqlite::memory:", ":memory:"],
      ["sqlite:my%20locks%3F.db", "my locks?.db"]
    ] as const)
      assert.deepStrictEqual(sqlite(url), { filename })
    for (const [url, kind] of [
      ["sqlite:", "a URL without a path"],
      ["sqlite://", "a URL with a host"],
      ["sqlite://locks.db", "a URL with a host"],
      ["sqlite:////var/locks.db", "a URL with four slashes"],
      ["sqlite:locks.db#x", "a URL with a raw #"],
      ["sqlite:locks.db?mode=ro", "a URL with the parameter mode"],
      ["sqlite:locks.db?", "a URL with an unknown parameter"],
      ["sqlite:%zz", "a URL whose path is not percent-encoded rightly"]
    ] as const)
      assert.strictEqual(rule(sqlite(url)), kind)
  })

  it.live("opens the file", () =>
    Effect.gen(function* () {
      const folder = yield* Effect.acquireRelease(
        Effect.sync(() => mkdtempSync(join(tmpdir(), "storage-lock-"))),
        (_) => Effect.sync(() => rmSync(_, { recursive: true, force: true }))
      )
      const { storage } = yield* open(`sqlite:${folder}/locks.db`, { table: "mine" })
      assert.strictEqual(storage.guarantees.name, "SqliteStorage")
    })
  )
})

describe("memory:", () => {
  it("has nothing behind it", () => {
    assert.deepStrictEqual(memory("memory:"), {})
    assert.deepStrictEqual(memory("memory://"), {})
    assert.strictEqual(rule(memory("memory:hunter2")), "a URL of memory with more behind it")
  })
})

describe("dynamodb:", () => {
  it("has a region, a table, credentials and an endpoint, each or none of them", () => {
    assert.deepStrictEqual(dynamodb("dynamodb:"), {})
    assert.deepStrictEqual(dynamodb("dynamodb:///locks"), { table: "locks" })
    assert.deepStrictEqual(dynamodb("dynamodb://eu-central-1/app_locks"), {
      region: "eu-central-1",
      table: "app_locks"
    })
    assert.deepStrictEqual(dynamodb("dynamodb://eu-central-1/arn%3Aaws%3Adynamodb%3Ax%3A1%3Atable%2Flocks"), {
      region: "eu-central-1",
      table: "arn:aws:dynamodb:x:1:table/locks"
    })
    const { credentials, ...others } = dynamodb(
      "dynamodb://AKIA:hunter%2F2@local/locks?endpoint=http%3A%2F%2Flocalhost%3A8000"
    ) as Options
    assert.deepStrictEqual(others, { region: "local", table: "locks", endpoint: "http://localhost:8000" })
    const { accessKeyId, secretAccessKey } = credentials as {
      readonly accessKeyId: string
      readonly secretAccessKey: Redacted.Redacted
    }
    assert.strictEqual(accessKeyId, "AKIA")
    assert.strictEqual(Redacted.value(secretAccessKey), "hunter/2")
    for (const [url, kind] of [
      ["dynamodb:eu-central-1", "a URL without //"],
      [
        "dynamodb://localhost:8000/locks",
        "a URL with a port, though its host is a region (a server is the parameter `endpoint`)"
      ],
      ["dynamodb://local/locks?read=5", "a URL with the parameter read"],
      ["dynamodb://local/locks?endpoint=a&endpoint=b", "a URL with `endpoint` twice"],
      ["dynamodb://local/locks?hunter2-=5", "a URL with an unknown parameter"],
      ["dynamodb://AKIA@local/locks", "a URL with one of accessKeyId and secretAccessKey"],
      ["dynamodb://AKIA:hunter2/x@local/locks", "a URL that cannot be read"],
      ["dynamodb://AKIA:1/hunter2@local/locks", "a URL with a raw / or ? or @ in one of its parts"],
      ["dynamodb://local/a/b", "a URL with a raw / or ? or @ in one of its parts"],
      ["dynamodb://local/locks#x", "a URL with a raw #"]
    ] as const)
      assert.strictEqual(rule(dynamodb(url)), kind, url)
  })
})
