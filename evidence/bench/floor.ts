/**
 * The least that any program on the same driver must do for the same locks: the same statement texts with the same parameters, rows as the driver gives them, and
 * nothing around it: no time limit, no queue, no renewal, no error that says what happened.
 */
import Database from "better-sqlite3"
import Pg from "pg"
import * as pgNames from "../../src/backends/postgres/names.js"
import * as pgStatements from "../../src/backends/postgres/statements.js"
import * as sqliteStatements from "../../src/backends/sqlite/statements.js"
import * as LockRecord from "../../src/LockRecord.js"

type Answer = boolean | Promise<boolean>

export interface Hold {
  readonly lockId: string
  readonly holdId: string
}

/** Leases in microseconds. The answers say whether it was done. */
export interface Floor {
  readonly claim: (lockId: string, ownerId: string, holdId: string, lease: number) => Answer
  readonly release: (lockId: string, holdId: string) => Answer
  readonly renew: (holds: ReadonlyArray<Hold>, lease: number) => Answer
  readonly close: () => Promise<void>
}

/** The pool of the library's own, as far as its settings reach the server: a floor with other plans would be another floor. */
export const postgresPool = (url: string, size: number): Pg.Pool =>
  new Pg.Pool({
    connectionString: url,
    max: size,
    min: 1,
    idleTimeoutMillis: 60_000,
    keepAlive: true,
    statement_timeout: 4_000,
    lock_timeout: 3_000,
    options: "-c default_transaction_isolation=read\\ committed -c plan_cache_mode=force_generic_plan"
  })

export const postgres = (pool: Pg.Pool, table: string, notify = true): Floor => {
  const sql = pgStatements.make(pgNames.qualified(table, undefined), notify)
  const channel = notify ? [pgNames.channel("public", table)] : []
  const run = async (statement: pgStatements.Statement, values: Array<unknown>): Promise<Array<any>> =>
    (await pool.query({ name: statement.name, text: statement.text, values })).rows
  return {
    claim: async (lockId, ownerId, holdId, lease) => {
      const [row] = await run(sql.claim, [lockId, ownerId, holdId, lease, ""])
      return row.owner_id === ownerId && row.holds.includes(holdId)
    },
    release: async (lockId, holdId) => (await run(sql.release, [lockId, holdId, ...channel]))[0]?.holds === "",
    renew: async (holds, lease) => {
      const rows = await run(sql.renew, [
        holds.map((_) => _.lockId),
        holds.map((_) => _.holdId),
        holds.map(() => lease)
      ])
      return rows.length === holds.length && rows.every((row) => row.renewed !== null)
    },
    close: () => pool.end()
  }
}

/** Reads before it claims, as the storage does, and says why: a contended claim must not wait for the one writer of the file. */
export const sqlite = (filename: string, table: string, synchronous: "full" | "normal"): Floor => {
  const db = new Database(filename, { timeout: 0 })
  db.pragma("journal_mode = WAL")
  db.pragma(`synchronous = ${synchronous}`)
  db.exec(sqliteStatements.createTable(table))
  const sql = sqliteStatements.make(table)
  const read = db.prepare<[object], sqliteStatements.Row>(sql.read)
  const claim = db.prepare<[object], sqliteStatements.Row>(sql.claim)
  const release = db.prepare<[object], sqliteStatements.Row>(sql.release)
  const renew = db.prepare<[object], sqliteStatements.Row>(sql.renew)
  return {
    claim: (lockId, ownerId, holdId, lease) => {
      const row = read.all({ lockId })[0]
      if (row !== undefined && row.holds !== "" && row.owner_id !== ownerId && row.lease_expire_time > row.now)
        return false
      return claim.all({ lockId, ownerId, holdId, lease, ownerLabel: "" }).length === 1
    },
    release: (lockId, holdId) => release.all({ lockId, holdId })[0]?.holds === "",
    renew: (holds, lease) =>
      renew.all({ requests: JSON.stringify(holds.map((_) => [_.lockId, _.holdId, lease])) }).length === holds.length,
    close: async () => void db.close()
  }
}

/** The specification's own transition over a map. */
export const memory = (): Floor => {
  const records = new Map<string, LockRecord.LockRecord>()
  const run = <R extends LockRecord.Request>(request: R) => {
    const step = LockRecord.step(records.get(request.lockId), request, Date.now() * 1000)
    if (step.record !== undefined) records.set(request.lockId, step.record)
    return step.outcome
  }
  return {
    claim: (lockId, ownerId, holdId, lease) =>
      run({ _tag: "Claim", lockId, ownerId, holdId, lease })._tag === "Claimed",
    release: (lockId, holdId) => run({ _tag: "Release", lockId, holdId })._tag === "Released",
    renew: (holds, lease) => holds.every((hold) => run({ _tag: "Renew", ...hold, lease })._tag === "Renewed"),
    close: async () => {}
  }
}
