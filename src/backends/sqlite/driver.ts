/** The one module that knows the driver, `better-sqlite3`. */
import * as Effect from "#effect/Effect"
import type * as Scope from "#effect/Scope"
import Sqlite from "better-sqlite3"

/** Runs a statement at once, on the thread of the program. Throws what the driver throws. */
export type Execute = (text: string, named?: Readonly<Record<string, unknown>>) => ReadonlyArray<unknown>

export interface Connection {
  readonly execute: Execute
  /** All that is executed meanwhile is one transaction, which has the write lock from its begin. If anything throws, nothing was done. */
  readonly together: <A>(work: () => A) => A
}

export interface Options {
  readonly readonly?: boolean
  /** How long SQLite itself waits for another connection, in milliseconds: the event loop stands still meanwhile. The driver's default is 5000. */
  readonly timeout?: number
}

/** Only what could be prepared is kept: a busy file, or a table not yet there, passes. There are as many texts as the storage has, so none is dropped. */
const executeOn = (database: Sqlite.Database): Execute => {
  const prepared = new Map<string, Sqlite.Statement>()
  return (text, named) => {
    let statement = prepared.get(text)
    if (statement === undefined) prepared.set(text, (statement = database.prepare(text)))
    const params = named === undefined ? [] : [named]
    if (statement.reader) return statement.all(...params)
    statement.run(...params)
    return []
  }
}

const togetherOn = (database: Sqlite.Database): Connection["together"] => {
  let work: () => unknown
  const transaction = database.transaction(() => work())
  return <A>(given: () => A): A => {
    work = given
    try {
      return transaction.immediate() as A
    } finally {
      // It could not even be rolled back: nothing may follow in it, for nobody else would see it.
      if (database.inTransaction) database.close()
    }
  }
}

/** Opens a file until the scope ends. Fails with what the driver throws. */
export const open = (filename: string, options: Options): Effect.Effect<Connection, unknown, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.try({ try: () => new Sqlite(filename, options), catch: (cause) => cause }),
      (database) => Effect.sync(() => database.close())
    ),
    (database) => ({ execute: executeOn(database), together: togetherOn(database) })
  )
