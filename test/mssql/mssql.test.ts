/** What of SQL Server can be known without one: the batches and their parameters, errors, options, and a server that hangs or is not there. */
import { assert, describe, it } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import * as Result from "#effect/Result"
import * as Exit from "#effect/Exit"
import * as Fiber from "#effect/Fiber"
import * as Layer from "#effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Scope from "#effect/Scope"
import * as Net from "node:net"
import * as Tedious from "tedious"
import * as MssqlStorage from "../../src/backends/mssql/MssqlStorage.js"
import * as dialect from "../../src/backends/mssql/dialect.js"
import * as errors from "../../src/backends/mssql/errors.js"
import { decodedRow, parameter } from "../../src/backends/mssql/parameters.js"
import { keepsConnection } from "../../src/backends/mssql/errors.js"
import * as config from "../../src/backends/mssql/config.js"
import * as source from "../../src/backends/mssql/source.js"
import * as url from "../../src/backends/mssql/url.js"
import * as setup from "../../src/backends/mssql/setup.js"
import type { Executor, Query } from "../../src/backends/sql/executor.js"
import * as pool from "../../src/backends/mssql/pool.js"
import * as statements from "../../src/backends/mssql/statements.js"
import { recordOf } from "../../src/backends/sql/record.js"
import { InvalidOptions } from "../../src/LockError.js"
import type * as LockRecord from "../../src/LockRecord.js"

const table = "[dbo].[storage_lock]"
const sql = dialect.make(table, 4500, "app")
const hold = "h".repeat(22)
const record: LockRecord.LockRecord = {
  lockId: "a",
  kind: "other",
  format: 1,
  ownerId: "me",
  holds: [hold],
  token: 1,
  version: 1,
  lockBeginTime: 1,
  leaseExpireTime: 2,
  data: "x"
}
const renewals = (count: number) =>
  Array.from({ length: count }, (_, i) => ({ lockId: `lock-${i}`, holdId: hold, lease: 30_000_000 }))

const queries: Record<string, Query<statements.Statement>> = {
  claim: sql.claim({ lockId: "a", ownerId: "me", holdId: hold, lease: 1 }),
  renew: sql.renew(renewals(3)),
  release: sql.release({ lockId: "a", holdId: hold }),
  revoke: sql.revoke("a", 1, ""),
  get: sql.get("a"),
  list: sql.list("", true, 500),
  purge: sql.purge("", 1, 500),
  time: sql.time,
  create: sql.create(record),
  update: sql.update(record, 1),
  drop: sql.drop("a", 1)
}

/** What the driver will tell the server of the parameters. */
const declared = ({ statement, values }: Query<statements.Statement>): string => {
  const request = new Tedious.Request(statement.text, () => {})
  statement.kinds.forEach((kind, i) => {
    const { options, type, value } = parameter(kind, values[i])
    request.addParameter(String(i + 1), type, value, options)
  })
  request.validateParameters(undefined)
  return request.makeParamsParameter(request.parameters)
}

describe("batches of MssqlStorage", () => {
  for (const [name, query] of Object.entries(queries)) {
    it(`${name} has exactly the parameters that it names`, () => {
      const named = new Set([...query.statement.text.matchAll(/@(\d+)\b/g)].map((match) => Number(match[1])))
      assert.deepStrictEqual(
        [...named].sort((a, b) => a - b),
        query.statement.kinds.map((_, i) => i + 1)
      )
      assert.strictEqual(query.values.length, query.statement.kinds.length)
      assert.isAtMost(query.values.length, 2100)
    })

    it(`${name} depends on no setting of the connection, and does not run in a transaction that is open`, () => {
      const { text } = query.statement
      const open = text.indexOf("IF @@TRANCOUNT > 0 THROW")
      const first = text.search(/\b(BEGIN TRANSACTION|UPDATE \[|DELETE FROM \[|INSERT INTO \[|SELECT [^1])/)
      for (const setting of [
        "XACT_ABORT ON",
        "IMPLICIT_TRANSACTIONS OFF",
        "TRANSACTION ISOLATION LEVEL READ COMMITTED",
        "LOCK_TIMEOUT 4500",
        "ROWCOUNT 0",
        "TEXTSIZE 2147483647"
      ]) {
        const at = text.indexOf(`SET ${setting};`)
        assert.isAbove(at, open)
        assert.isBelow(at, first)
      }
      // Else a text that is too long would be cut, where the program has switched it off.
      assert.isBelow(
        text.indexOf("SET ANSI_NULLS, ANSI_PADDING, ANSI_WARNINGS, ARITHABORT, CONCAT_NULL_YIELDS_NULL ON;"),
        first
      )
      assert.isAbove(text.indexOf("IF DB_NAME() <> N'app' COLLATE Latin1_General_BIN2 THROW 50713"), open)
      assert.isBelow(text.indexOf("IF DB_NAME() <> N'app'"), first)
      // It fails on a table with triggers.
      assert.notMatch(text, /\bOUTPUT\b/)
      assert.strictEqual(text.split("BEGIN TRANSACTION;").length, text.split("COMMIT TRANSACTION;").length)
    })

    it(`${name} samples the clock once, and compares texts byte for byte`, () => {
      const { text } = query.statement
      assert.strictEqual(text.split("SYSUTCDATETIME()").length - 1, 1)
      for (const [call] of text.matchAll(/CHARINDEX\(.*?\) > 0/g))
        assert.strictEqual(call.split(statements.binary).length - 1, 2, call)
      for (const [line] of text.matchAll(/kind <> .*$/gm)) assert.include(line, statements.binary)
    })
  }

  it("what a write rests on is judged by the write itself, never by an earlier read alone", () => {
    const writes = (name: string) =>
      [...queries[name]!.statement.text.matchAll(/^ *(UPDATE|DELETE)\b[^;]*;/gm)].map(([text]) => text)
    for (const [name, ...conditions] of [
      ["claim", "l.lock_id = @1", "l.format <= 1", "l.holds <> N''", "l.expires > @t", "l.owner_id <> @2"],
      ["renew", "l.format <= 1", "l.expires > @t", "k.lease IS NOT NULL"],
      ["release", "lock_id = @1", "format <= 1", "CHARINDEX"],
      ["revoke", "lock_id = @1", "token = @2", "format <= 1", "holds <> N''", "expires > @t"],
      ["purge", "l.expires < @t - @2", "l.format <= 1"],
      ["update", "lock_id = @1", "version = @12"],
      ["drop", "lock_id = @1", "version = @2"]
    ] as const) {
      const found = writes(name)
      assert.lengthOf(found, 1, name)
      const where = found[0]!.slice(found[0]!.lastIndexOf("WHERE"))
      for (const condition of conditions) assert.include(where, condition, name)
    }
  })

  it("set-up depends on no setting of the connection either", () =>
    Effect.gen(function* () {
      const texts: Array<string> = []
      const executor: Executor<statements.Statement> = {
        width: 1,
        run: (_, { statement }, __, done) => {
          texts.push(statement.text)
          done(Result.succeed([{ found: 0, database: "app" }]))
        }
      }
      yield* Effect.exit(
        setup.prepare(executor, {
          table: "storage_lock",
          schema: "dbo",
          database: "app",
          setup: true,
          millis: 5000,
          lockTimeout: 4500
        })
      )
      assert.lengthOf(texts, 3)
      for (const text of texts) assert.isTrue(text.startsWith(statements.prologue(4500)))
    }).pipe(Effect.runPromise))

  it("parameters are declared alike whatever their values, so the server has one plan for each batch", () => {
    const short = sql.claim({ lockId: "a", ownerId: "b", holdId: hold, lease: 1 })
    const long = sql.claim({
      lockId: "é".repeat(255),
      ownerId: "漢".repeat(255),
      holdId: hold,
      lease: 9_000_000_000_000
    })
    assert.strictEqual(
      declared(short),
      "@1 varbinary(765), @2 varbinary(765), @3 nvarchar(4000), @4 bigint, @5 nvarchar(4000)"
    )
    assert.strictEqual(declared(long), declared(short))
    assert.match(
      declared(sql.create(record)),
      /^@1 varbinary\(765\), @2 nvarchar\(4000\), @3 int, @4 varbinary\(765\), @5 nvarchar\(max\), (@\d bigint, ){4}@10 nvarchar\(max\), @11 nvarchar\(4000\)$/
    )
    // Longer than its column: refused by the server, never cut.
    assert.include(declared(sql.get("a".repeat(766))), "varbinary(8000)")
  })

  it("ids go as their bytes in UTF-8, and come back", () => {
    const id = "fóo\u0301 \u{1F512}漢 "
    const { value } = parameter("id", id)
    assert.deepStrictEqual(value, Buffer.from(id, "utf8"))
    const row = decodedRow({
      lock_id: value,
      kind: "exclusive",
      format: 1,
      owner_id: Buffer.alloc(0),
      holds: `,${hold},${"*".repeat(22)}`,
      // As the driver gives a bigint.
      token: "1767225600000001",
      version: "7",
      began: "1767225600000000",
      expires: "1767225630000000",
      data: ""
    })
    assert.deepStrictEqual(recordOf(row), {
      lockId: id,
      kind: "exclusive",
      format: 1,
      ownerId: "",
      holds: [hold, "*".repeat(22)],
      token: 1767225600000001,
      version: 7,
      lockBeginTime: 1767225600000000,
      leaseExpireTime: 1767225630000000,
      data: ""
    })
  })

  it("renewals have few texts, and no number of them is too many", () => {
    const texts = new Set(Array.from({ length: 256 }, (_, i) => sql.renew(renewals(i + 1)).statement.text))
    assert.strictEqual(texts.size, 5)
    const { statement, values } = sql.renew(renewals(5))
    assert.strictEqual(values.length, 3 * 16)
    assert.deepStrictEqual(values.slice(12, 18), ["lock-4", hold, 30_000_000, null, null, null])
    assert.include(statement.text, "WHERE v.lock_id IS NOT NULL")
    const many = [...renewals(900), { lockId: "'; DROP TABLE x --", holdId: "'; --", lease: 1 }]
    const all = sql.renew(many)
    assert.deepStrictEqual(all.values, [])
    assert.notInclude(all.statement.text, "DROP TABLE x")
    assert.include(
      all.statement.text,
      `(900, 0x${Buffer.from("'; DROP TABLE x --").toString("hex")}, N'''; --', CONVERT(bigint, 1))`
    )
  })

  it("names are quoted, whatever they are", () => {
    const text = MssqlStorage.ddl({ schema: "a.b", table: "lo]ck's" })
    assert.include(text, "CREATE TABLE [a.b].[lo]]ck's] (")
    assert.include(text, "OBJECT_ID(N'[a.b].[lo]]ck''s]', N'U')")
    assert.throws(() => MssqlStorage.ddl({ table: "" }))
    assert.throws(() => MssqlStorage.ddl({ table: "x".repeat(129) }))
  })
})

/** As the driver makes them. */
const requestError = (number: number, severity = 16): Tedious.RequestError =>
  Object.assign(new Tedious.RequestError("said the server", "EREQUEST"), {
    number,
    class: severity,
    state: 1,
    serverName: "s",
    procName: "",
    lineNumber: 3
  })

describe("errors of MssqlStorage", () => {
  const cases: ReadonlyArray<
    readonly [
      error: unknown,
      phase: "connecting" | "executing",
      reason: string,
      isRetryable: boolean,
      applied: string,
      keeps: boolean
    ]
  > = [
    [requestError(1205, 13), "executing", "Conflict", true, "no", true],
    [requestError(2627, 14), "executing", "Conflict", true, "no", true],
    [requestError(3960), "executing", "Conflict", true, "no", true],
    [requestError(1222), "executing", "Timeout", true, "no", true],
    [requestError(208), "executing", "Schema", false, "no", true],
    [requestError(229, 14), "executing", "Permission", false, "no", true],
    [requestError(262, 14), "executing", "Permission", false, "no", true],
    [requestError(3906), "executing", "Connection", true, "no", false],
    [requestError(3908), "executing", "Connection", true, "no", false],
    [requestError(976), "executing", "Connection", true, "no", false],
    [requestError(983, 14), "executing", "Connection", true, "no", false],
    [requestError(9002, 17), "executing", "Unknown", true, "no", true],
    [requestError(8134), "executing", "Unknown", false, "no", true],
    [requestError(statements.openTransaction), "executing", "Connection", true, "no", true],
    [requestError(40197, 20), "executing", "Connection", true, "unknown", false],
    [requestError(952), "executing", "Connection", true, "unknown", false],
    [requestError(40613, 17), "executing", "Connection", true, "unknown", false],
    [requestError(596, 21), "executing", "Connection", true, "unknown", false],
    [requestError(3314, 21), "executing", "Unknown", false, "unknown", false],
    [
      Object.assign(new Tedious.ConnectionError("Cannot open database", "ELOGIN"), { number: 4060 }),
      "connecting",
      "Connection",
      true,
      "no",
      false
    ],
    [
      Object.assign(new Tedious.ConnectionError("Public network access is denied", "ELOGIN"), { number: 47073 }),
      "connecting",
      "Permission",
      false,
      "no",
      true
    ],
    [
      Object.assign(new Tedious.ConnectionError("Login failed", "ELOGIN"), { number: 18456 }),
      "connecting",
      "Permission",
      false,
      "no",
      true
    ],
    [
      Object.assign(new Tedious.ConnectionError("Busy", "ELOGIN"), { number: 40501 }),
      "connecting",
      "Connection",
      true,
      "no",
      false
    ],
    [new Tedious.ConnectionError("Login failed", "ELOGIN"), "connecting", "Connection", true, "no", false],
    [new Tedious.ConnectionError("slow", "ETIMEOUT"), "connecting", "Timeout", true, "no", false],
    [new Tedious.ConnectionError("gone", "ESOCKET"), "connecting", "Connection", true, "no", false],
    [
      new Tedious.RequestError("Connection closed before request completed.", "ECLOSE"),
      "executing",
      "Connection",
      true,
      "unknown",
      false
    ],
    [new Tedious.RequestError("Timeout", "ETIMEOUT"), "executing", "Timeout", true, "unknown", false],
    [
      new Tedious.RequestError("Requests can only be made in the LoggedIn state", "EINVALIDSTATE"),
      "executing",
      "Connection",
      true,
      "no",
      false
    ],
    [
      Object.assign(new Error("socket hang up"), { code: "ECONNRESET" }),
      "executing",
      "Connection",
      true,
      "unknown",
      false
    ],
    [new AggregateError([requestError(3621, 0), requestError(2601, 14)]), "executing", "Conflict", true, "no", true],
    [
      { _tag: "SqlError", message: "Failed to execute statement", cause: requestError(1205, 13) },
      "executing",
      "Conflict",
      true,
      "no",
      true
    ],
    [
      { _tag: "SqlError", message: "Failed", cause: new AggregateError([requestError(8134), requestError(3998)]) },
      "executing",
      "Unknown",
      false,
      "no",
      true
    ]
  ]
  for (const [error, phase, reason, isRetryable, applied, keeps] of cases) {
    const root = errors.rootOf(error)
    it(`${String(root.number ?? root.code)} while ${phase} is ${reason}`, () => {
      const made = errors.fromDriver("claim", error, phase)
      assert.deepStrictEqual([made.reason, made.isRetryable, made.applied], [reason, isRetryable, applied])
      assert.strictEqual(keepsConnection(error), keeps)
    })
  }

  it("no error bears the driver's connection, nor a password where one stands", () => {
    const error = Object.assign(requestError(8134), {
      message: "cannot reach mssql://sa:secret-pw@h/d nor Server=h;Password=secret-pw;Encrypt=true: o no",
      connection: { password: "secret-pw" }
    })
    const made = errors.fromDriver("claim", error, "executing")
    assert.notInclude(
      `${made.message}${JSON.stringify(made)}${String((made.cause as Error).stack)}${JSON.stringify(made.cause)}`,
      "secret-pw"
    )
    assert.include(made.message, "mssql://<redacted>@h/d nor Server=h;Password=<redacted>;Encrypt=true: o no")
  })

  it("what a login without a number says may pass; one with a number is judged by it", () => {
    const refused = (number?: number) =>
      Object.assign(new Tedious.ConnectionError("Login failed.", "ELOGIN"), number === undefined ? {} : { number })
    for (const [number, reason] of [
      [undefined, "Connection"],
      [18456, "Permission"],
      [40613, "Connection"],
      [4064, "Connection"],
      [18461, "Connection"]
    ] as const) {
      assert.strictEqual(errors.fromDriver("claim", refused(number), "connecting").reason, reason)
    }
  })

  it("a full database, log or quota may pass, was not written to, and says what to do", () => {
    for (const number of [1101, 1105, 9002, 3958, 40544]) {
      const made = errors.fromDriver("release", requestError(number, 17), "executing")
      assert.deepStrictEqual([made.reason, made.isRetryable, made.applied], ["Unknown", true, "no"])
      assert.include(made.message, "make room")
      assert.isTrue(keepsConnection(requestError(number, 17)))
    }
  })
})

describe("options of MssqlStorage", () => {
  const good = Redacted.make("mssql://sa:secret-pw@127.0.0.1:1/db")
  const at = (parameters: string) => Redacted.make(`mssql://sa:secret-pw@h/d?${parameters}`)
  const cases: ReadonlyArray<readonly [name: string, options: MssqlStorage.Options, field: string, told?: string]> = [
    ["no URL", {}, "url"],
    ["a plain URL", { url: "mssql://a:b@c/d" as never }, "url"],
    ["another server's URL", { url: Redacted.make("postgres://sa:secret-pw@h/d") }, "url"],
    ["an unknown parameter", { url: at("encript=true") }, "url", "encript"],
    ["a flag that is none", { url: at("encrypt=yes") }, "url", "encrypt"],
    ["a parameter twice", { url: at("encrypt=true&Encrypt=false") }, "url", "Encrypt"],
    ["a readable secondary", { url: at("ApplicationIntent=ReadOnly") }, "url", "ApplicationIntent"],
    ["a time of unknown unit", { url: at("connectTimeout=15") }, "url", "loginTimeout"],
    [
      "a certificate trusted unseen beside strict",
      { url: at("encrypt=strict&trustServerCertificate=true") },
      "url",
      "trustServerCertificate"
    ],
    ["a mirror", { url: at("failoverPartner=b") }, "url", "failoverPartner"],
    [
      "settings behind semicolons",
      { url: Redacted.make("sqlserver://h;database=d;user=sa;password=secret-pw") },
      "url",
      "semicolons"
    ],
    [
      "settings behind semicolons and a port",
      { url: Redacted.make("sqlserver://h:1433;database=d;user=sa;password=secret-pw") },
      "url"
    ],
    [
      "a connection string",
      { url: Redacted.make("Server=tcp:h,1433;Database=d;User Id=sa;Password=secret-pw") },
      "url"
    ],
    ["a password beside one in the URL", { url: good, password: Redacted.make("secret-pw") }, "password"],
    ["a plain password", { url: Redacted.make("mssql://sa@h/d"), password: "secret-pw" as never }, "password"],
    ["a token beside a user", { url: good, accessToken: Redacted.make("secret-pw") }, "accessToken"],
    [
      "a token in the clear",
      { url: Redacted.make("mssql://h/d?encrypt=false"), accessToken: Redacted.make("secret-pw") },
      "accessToken"
    ],
    ["a token beside a user, asked for", { url: good, accessToken: () => Redacted.make("secret-pw") }, "accessToken"],
    [
      "a password asked for, beside no URL that can be read",
      { url: at("encript=true"), password: Effect.succeed(Redacted.make("secret-pw")) },
      "url",
      "encript"
    ],
    [
      "a user beside the options of a connection",
      { connection: { server: "h", userName: "sa", password: "secret-pw" } as never },
      "connection",
      "userName"
    ],
    [
      "a misspelt option of a connection",
      { connection: { server: "h", options: { trustServerCertficate: true } as never } },
      "connection",
      "trustServerCertficate"
    ],
    [
      "a misspelt credential",
      {
        connection: {
          server: "h",
          authentication: { type: "default", options: { user: "sa", password: "secret-pw" } as never }
        }
      },
      "connection",
      "user"
    ],
    [
      "a token without encryption",
      {
        connection: {
          server: "h",
          authentication: { type: "azure-active-directory-access-token", options: { token: "secret-pw" } },
          options: { encrypt: false }
        }
      },
      "connection",
      "encrypt"
    ],
    ...[
      { requestTimeout: 1000 },
      { maxRetriesOnTransientErrors: 3 },
      { cancelTimeout: 1 },
      { textsize: 10 },
      { useColumnNames: true },
      { camelCaseColumns: true },
      { columnNameReplacer: (name: string) => name.toUpperCase() },
      { rowCollectionOnRequestCompletion: false },
      { readOnlyIntent: true },
      { fallbackToDefaultDb: true },
      { enableAnsiWarnings: false },
      { enableImplicitTransactions: true },
      { enableNumericRoundabort: true },
      { tdsVersion: "7_1" },
      { encrypt: "strict", trustServerCertificate: true }
    ].map(
      (options) =>
        [
          `the option ${Object.keys(options).join(", ")}`,
          { connection: { server: "h", options: options as never } },
          "connection",
          Object.keys(options).at(-1)!
        ] as const
    ),
    ["a raw # in the password", { url: Redacted.make("mssql://sa:secret-pw#1@h/d") }, "url"],
    ["a raw / in the password", { url: Redacted.make("mssql://sa:1/secret-pw@h/d") }, "url"],
    ["a port and an instance", { url: Redacted.make("mssql://sa:secret-pw@h:1433/d?instanceName=i") }, "url"],
    ["both a URL and a connection", { url: good, connection: { server: "h" } }, "connection"],
    ["a connection that the driver refuses", { connection: { server: "h", options: { port: 99_999 } } }, "connection"],
    ["a pool of none", { url: good, poolSize: 0 }, "poolSize"],
    ["an empty table", { url: good, table: "" }, "table"],
    ["a long schema", { url: good, schema: "x".repeat(129) }, "schema"],
    ["no time", { url: good, operationTimeout: 0 }, "operationTimeout"],
    ["a set-up that is no flag", { url: good, setup: "yes" as never }, "setup"],
    ["no schedule", { url: good, versionMissRetry: "often" as never }, "versionMissRetry"]
  ]
  for (const [name, options, field, told] of cases) {
    it.effect(`${name} is refused before any I/O`, () =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(Effect.scoped(MssqlStorage.make(options)))
        assert(error._tag === "InvalidOptions")
        assert.strictEqual(error.field, field)
        if (told !== undefined) assert.include(error.message, told)
        assert.notInclude(`${error.message}${JSON.stringify(error)}`, "secret-pw")
      })
    )
  }
})

it("what is obeyed goes to the driver, under what the batches need of a connection", () => {
  const resolved = config.resolve(
    "connection",
    {
      server: "h",
      options: { appName: "mine", language: "Deutsch", textsize: -1, requestTimeout: 0, workstationId: "w" }
    },
    5_000
  )
  assert(!(resolved instanceof InvalidOptions))
  const {
    appName,
    connectTimeout,
    enableAnsiWarnings,
    language,
    rowCollectionOnRequestCompletion,
    textsize,
    workstationId
  } = resolved.options!
  assert.deepStrictEqual(
    [appName, connectTimeout, enableAnsiWarnings, language, rowCollectionOnRequestCompletion, textsize, workstationId],
    ["mine", 5_000, true, "Deutsch", true, 2147483647, "w"]
  )
})

it("names of a URL's parameters are alike in any case, as elsewhere for SQL Server", () => {
  const parsed = url.parse(
    "url",
    Redacted.make(
      "sqlserver://sa:p%40w@h/d?Encrypt=strict&MultiSubnetFailover=True&HostNameInCertificate=x&Application%20Name=me&loginTimeout=7&applicationIntent=ReadWrite"
    )
  )
  assert(!(parsed instanceof InvalidOptions))
  const { appName, connectTimeout, database, encrypt, multiSubnetFailover, serverName } = parsed.options!
  assert.deepStrictEqual(
    [appName, connectTimeout, database, encrypt, multiSubnetFailover, serverName],
    ["me", 7_000, "d", "strict", true, "x"]
  )
})

it("a call that has little time waits as little for a lock, by one of few texts", () => {
  const { statement } = queries.claim!
  assert.strictEqual(statements.textWithin(statement, 4_999), statement.text)
  for (const [millis, wait] of [
    [3_000, 2_000],
    [1_000, 500],
    [60, 50],
    [1, 1],
    [0, 1]
  ] as const) {
    const text = statements.textWithin(statement, millis)
    assert.strictEqual(text, statement.text.replace("LOCK_TIMEOUT 4500", `LOCK_TIMEOUT ${wait}`))
  }
})

/** A server that does with each connection what it is told to. */
const listening = (onConnection: (socket: Net.Socket) => void) =>
  Effect.acquireRelease(
    Effect.callback<{ readonly server: Net.Server; readonly port: number; readonly sockets: Set<Net.Socket> }>(
      (resume) => {
        const sockets = new Set<Net.Socket>()
        const server = Net.createServer((socket) => {
          sockets.add(socket)
          socket
            .on("error", () => {})
            .on("close", () => sockets.delete(socket))
            .resume()
          onConnection(socket)
        })
        server.listen(0, "127.0.0.1", () =>
          resume(Effect.succeed({ server, sockets, port: (server.address() as Net.AddressInfo).port }))
        )
      }
    ),
    ({ server, sockets }) =>
      Effect.callback<void>((resume) => {
        for (const socket of sockets) socket.destroy()
        server.close(() => resume(Effect.void))
      })
  )

const at = (port: number, parameters = "encrypt=false") =>
  Redacted.make(`mssql://sa:secret-pw@127.0.0.1:${port}/db?${parameters}`)

describe("a server that is not as it should be", () => {
  it.live("one that accepts and hangs ends in Timeout, and leaves no connection", () =>
    Effect.gen(function* () {
      const { port, sockets } = yield* listening(() => {})
      const error = yield* Effect.flip(
        Effect.scoped(MssqlStorage.make({ url: at(port), operationTimeout: "200 millis" }))
      )
      assert(error._tag === "StorageError")
      assert.deepStrictEqual([error.reason, error.isRetryable, error.applied], ["Timeout", true, "no"])
      assert.notInclude(error.message, "secret-pw")
      while (sockets.size > 0) yield* Effect.sleep("5 millis")
    })
  )

  it.live("one that is not there ends in Connection, and says so", () =>
    Effect.gen(function* () {
      const { port, server } = yield* Effect.scoped(listening(() => {}))
      assert.isFalse(server.listening)
      const error = yield* Effect.flip(Layer.build(MssqlStorage.layer({ url: at(port) })))
      assert(error._tag === "StorageError")
      assert.deepStrictEqual([error.reason, error.isRetryable, error.applied], ["Connection", true, "no"])
      assert.include(error.message, "nothing listens there")
    })
  )

  it.live("one that hangs up ends in Connection", () =>
    Effect.gen(function* () {
      const { port } = yield* listening((socket) => socket.destroy())
      const error = yield* Effect.flip(Layer.build(MssqlStorage.layer({ url: at(port) })))
      assert(error._tag === "StorageError")
      assert.deepStrictEqual([error.reason, error.isRetryable, error.applied], ["Connection", true, "no"])
    })
  )

  it.live("operations beyond the pool wait in their time, and a closed pool refuses them", () =>
    Effect.gen(function* () {
      const { port, sockets } = yield* listening(() => {})
      const scope = yield* Scope.make()
      const executor = yield* Scope.provide(
        pool.make({
          source: source.make(
            { connection: { server: "127.0.0.1", options: { port, encrypt: false, connectTimeout: 60_000 } } },
            60_000
          ) as source.Source,
          poolSize: 2,
          operationTimeout: 60_000
        }),
        scope
      )
      const run = (millis: number) =>
        Effect.callback<string>((resume) =>
          executor.run("get", queries.get!, millis, (result) =>
            resume(Effect.succeed(Result.isFailure(result) ? result.failure.reason : "answered"))
          )
        )
      assert.deepStrictEqual(
        yield* Effect.all(
          Array.from({ length: 5 }, () => run(100)),
          { concurrency: "unbounded" }
        ),
        new Array(5).fill("Timeout")
      )
      assert.isAtMost(sockets.size, 2)
      const waiting = yield* Effect.forkChild(run(60_000))
      yield* Effect.yieldNow
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(yield* Fiber.join(waiting), "Closed")
      assert.strictEqual(yield* run(1_000), "Closed")
      while (sockets.size > 0) yield* Effect.sleep("5 millis")
    })
  )
})
