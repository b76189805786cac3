/** One of the two processes of a hand-off: see handOff.ts. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import Pg from "pg"
import * as PostgresStorage from "../src/backends/PostgresStorage.js"
import * as SqliteStorage from "../src/backends/SqliteStorage.js"
import * as pgNames from "../src/internal/postgres/names.js"
import * as pgStatements from "../src/internal/postgres/statements.js"
import * as StorageLock from "../src/StorageLock.js"
import { postgresPool } from "./floor.js"
import type { Command, Reply, Way } from "./handOff.js"
import { leaseMillis, table } from "./subjects.js"

interface Holder {
  /** Waits until it has the lock; answers with its token. */
  readonly acquire: (lockId: string) => Promise<{ readonly token: number; readonly release: () => Promise<unknown> }>
  readonly close: () => Promise<unknown>
}

const tell = (reply: Reply): void => void process.send?.(reply)
const now = (): string => process.hrtime.bigint().toString()

const library = (way: Exclude<Way, { readonly kind: "pg" }>): Holder => {
  const storage = way.kind === "sqlite"
    ? SqliteStorage.layer({ filename: way.filename, table })
    : PostgresStorage.layer({ url: Redacted.make(way.url), table, notify: way.notify })
  const runtime = ManagedRuntime.make(StorageLock.layer({ leaseExpireAfter: leaseMillis }).pipe(Layer.provide(storage)))
  return {
    acquire: async (lockId) => {
      const scope = Effect.runSync(Scope.make())
      const lock = await runtime.runPromise(Scope.extend(StorageLock.acquire(lockId), scope))
      return { token: lock.token, release: () => runtime.runPromise(Scope.close(scope, Exit.void)) }
    },
    close: () => runtime.dispose()
  }
}

/** No lease is renewed, and nothing is tried twice but for a notification. */
const bare = async (url: string): Promise<Holder> => {
  const sql = pgStatements.make(pgNames.qualified(table, undefined), true)
  const channel = pgNames.channel("public", table)
  const pool = postgresPool(url, 4)
  const listener = new Pg.Client({ connectionString: url })
  await listener.connect()
  await listener.query(`LISTEN ${Pg.escapeIdentifier(channel)}`)
  const query = async (statement: pgStatements.Statement, values: Array<unknown>) =>
    (await pool.query({ name: statement.name, text: statement.text, values })).rows[0]
  let made = 0
  return {
    acquire: async (lockId) => {
      const ownerId = `process ${process.pid}`
      const holdId = `${process.pid}x${made++}`.padEnd(22, "0")
      const attempt = () => query(sql.claim, [lockId, ownerId, holdId, 3_600_000_000])
      let notified = new Promise<void>((resolve) => listener.once("notification", () => resolve()))
      for (;;) {
        const row = await attempt()
        if (row.owner_id === ownerId) return { token: Number(row.token), release: () => query(sql.release, [lockId, holdId, channel]) }
        await notified
        notified = new Promise<void>((resolve) => listener.once("notification", () => resolve()))
      }
    },
    close: () => Promise.all([pool.end(), listener.end()])
  }
}

const main = async () => {
  const way = JSON.parse(process.argv[2]!) as Way
  const holder = way.kind === "pg" ? await bare(way.url) : library(way)
  let release: (() => Promise<unknown>) | undefined

  const obey = async (command: Command) => {
    if ("acquire" in command) {
      const held = await holder.acquire(command.acquire)
      const acquired = now()
      release = held.release
      tell({ acquired, token: held.token })
    } else {
      const releaseIssued = now()
      await release!()
      tell({ releaseIssued })
    }
  }
  const failed = (error: unknown) => tell({ failed: error instanceof Error ? error.message : Cause.pretty(Cause.die(error)) })
  process.on("message", (command) => void obey(command as Command).catch(failed))
  process.once("disconnect", () => {
    void Promise.resolve(release?.()).then(holder.close).finally(() => process.exit(0))
  })
  // Its parent takes Ctrl-C, and disconnects.
  process.on("SIGINT", () => {})
  tell({ ready: true })
}

void main()
