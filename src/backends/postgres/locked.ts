/**
 * A change under a lock of its row, in two requests. Each is one text of several statements, so its values are literals: it is for few, and nothing is prepared. All that it sets ends with its transaction, so a
 * transaction pooler, or a client of the program's, has its session back as it was.
 */
import { valuesOf } from "../sql/record.js"
import { type Locked, longestSilence } from "../sql/locked.js"
import type { Query } from "../sql/executor.js"
import * as quote from "./quote.js"
import { begun, create, type Statement, update } from "./statements.js"

const half = (...parts: ReadonlyArray<string>): Statement => ({
  name: "",
  text: parts.join(";\n"),
  parts,
  isHalf: true
})
const query = (statement: Statement): Query<Statement> => ({ statement, values: [] })

/** `channel`: to whom a hint is sent, if to anybody. */
export const make = (table: string, channel: string | undefined): Locked<Statement> => ({
  begin: (lockId, millis) =>
    query(
      half(
        "BEGIN ISOLATION LEVEL READ COMMITTED",
        `SET LOCAL idle_in_transaction_session_timeout = ${longestSilence}`,
        // As for any other statement: the server gives up before the caller does.
        `SET LOCAL lock_timeout = ${Math.max(1, Math.floor(millis * 0.6))}`,
        begun(table, quote.literal(lockId))
      )
    ),
  create: (record) => {
    const values = valuesOf(record)
    return query(
      half(
        create(table, (place) => quote.literal(String(values[place - 1]))),
        "COMMIT"
      )
    )
  },
  update: (record, expected) => {
    const values = [...valuesOf(record), expected, channel ?? ""]
    const of = (notify: boolean) =>
      half(
        update(table, notify, (place) => quote.literal(String(values[place - 1]))),
        "COMMIT"
      )
    return query(channel === undefined ? of(false) : { ...of(true), quiet: of(false) })
  },
  leave: query(half("ROLLBACK"))
})
