/** As much of a SQL Server with a table of locks as the storage asks for at its start; what its batches then get is the test's affair. */
import * as Effect from "#effect/Effect"
import type * as Scope from "#effect/Scope"
import * as Tds from "./tds.js"

export interface Options extends Omit<Tds.Options, "answer"> {
  /** What a batch of the storage is answered; or nothing, for what a server would say to a claim of a free lock and to a read of one that is not there. */
  readonly answer?: ((asked: Tds.Asked) => Tds.Answer | undefined) | undefined
  /** What the driver's own batch of settings is answered. */
  readonly settings?: ((session: Tds.Session) => Tds.Answer) | undefined
  /** The database that the server says it is in. */
  readonly database?: ((session: Tds.Session) => string) | undefined
  /** What is told of the table beside its columns. */
  readonly table?: Readonly<Record<string, Tds.Cell>> | undefined
  readonly columns?: typeof types | undefined
}

export interface Server extends Tds.Server {
  readonly url: (parameters?: string) => string
  /** Batches of the storage, less those of its set-up. */
  readonly batches: ReadonlyArray<Tds.Asked>
}

export const types: Record<string, readonly [string, number]> = {
  lock_id: ["varbinary", 765],
  kind: ["nvarchar", 256],
  format: ["int", 4],
  owner_id: ["varbinary", 765],
  holds: ["nvarchar", -1],
  token: ["bigint", 8],
  version: ["bigint", 8],
  began: ["bigint", 8],
  expires: ["bigint", 8],
  data: ["nvarchar", -1],
  owner_label: ["nvarchar", 510]
}

const inspected = (database: string, table: Readonly<Record<string, Tds.Cell>> = {}, columns = types) =>
  Buffer.concat([
    Tds.rows(
      {
        found: "number",
        in_memory: "number",
        schema: "text",
        column: "text",
        type: "text",
        size: "number",
        format: "text",
        keys: "number",
        others: "number",
        updateability: "text",
        durability: "text",
        database: "text"
      },
      ...Object.entries(columns).map(([column, [type, size]]) => ({
        found: 1,
        in_memory: 0,
        schema: "dbo",
        column,
        type,
        size,
        format: "1",
        keys: 1,
        others: 0,
        updateability: "READ_WRITE",
        durability: "DISABLED",
        database,
        ...table
      }))
    ),
    Tds.done()
  ])

const columns = {
  lock_id: "bytes",
  kind: "text",
  format: "number",
  owner_id: "bytes",
  holds: "text",
  token: "number",
  version: "number",
  began: "number",
  expires: "number",
  data: "text",
  owner_label: "text",
  t: "number"
} as const

/** To a claim: that it has it. */
export const claimed = ({ values: [lockId, ownerId, hold, lease, label] }: Tds.Asked): Buffer => {
  const t = 1_800_000_000_000_000
  return Buffer.concat([
    Tds.rows(columns, {
      lock_id: lockId as Buffer,
      kind: "exclusive",
      format: 1,
      owner_id: ownerId as Buffer,
      holds: `,${String(hold)}`,
      token: t,
      version: 1,
      began: t,
      expires: t + Number(lease),
      data: "",
      owner_label: String(label),
      t
    }),
    Tds.done()
  ])
}

/** To a renewal of one lock: that there is no record. */
export const renewed = (): Buffer =>
  Buffer.concat([Tds.rows({ ...columns, renewed: "number" }, { t: 1_800_000_000_000_001 }), Tds.done()])

export const make = (options: Options = {}): Effect.Effect<Server, never, Scope.Scope> => {
  const batches: Array<Tds.Asked> = []
  const databaseOf = (session: Tds.Session) => options.database?.(session) ?? session.database
  return Effect.map(
    Tds.make({
      ...options,
      answer: (asked) => {
        const { kind, session, text } = asked
        if (kind === "batch") {
          const lockTimeout = /SET LOCK_TIMEOUT (\d+)/.exec(text)
          if (lockTimeout === null) return options.settings?.(session) ?? Tds.done()
          return Buffer.concat([
            Tds.rows(
              { database: "text", lock_timeout: "number", transactions: "number" },
              { database: databaseOf(session), lock_timeout: Number(lockTimeout[1]), transactions: 0 }
            ),
            Tds.done()
          ])
        }
        if (text.includes("delayed_durability_desc"))
          return inspected(databaseOf(session), options.table, options.columns)
        batches.push(asked)
        return (
          options.answer?.(asked) ??
          (asked.values.length === 5 ? claimed(asked) : Buffer.concat([Tds.rows(columns), Tds.done()]))
        )
      }
    }),
    (server) => ({
      ...server,
      open: server.open,
      batches,
      url: (parameters = "encrypt=false") => `mssql://sa:secret-pw@127.0.0.1:${server.port}/app?${parameters}`
    })
  )
}
