/** Cassandra as a store of observed expiry: one lightweight transaction writes, and answers with the present record if its condition fails. */
import type { types } from "cassandra-driver"
import * as Effect from "#effect/Effect"
import { StorageError } from "../../LockError.js"
import type { LockRecord } from "../../LockRecord.js"
import * as json from "../shared/observed/json.js"
import { type Ask, eachAlone, type Page, type Reply, type Seen, type Store } from "../shared/observed/store.js"
import type { Caller } from "./caller.js"
import * as errors from "./errors.js"
import type { Texts } from "./statements.js"

/** The text that is compared, as it was read. */
export type State = string

/** Of pages. */
export type Cursor = string

/** How many statements of one operation are under way at once. */
const concurrency = 32

const pageSize = 1_000

const absent: Seen<State> = { record: undefined, revision: 0 }

const foreign = (lockId: string): string =>
  `the row ${JSON.stringify(lockId)} is no record of a lock: choose another \`table\``

/** `text`: nothing of a row that is there without a record, which is none of ours. */
const seen = (operation: string, lockId: string, text: unknown): Seen<State> | StorageError => {
  const record = typeof text === "string" ? json.decode(lockId, text, foreign(lockId)) : foreign(lockId)
  return typeof record === "string"
    ? errors.schema(operation, record)
    : { record, revision: record.version, state: text as string }
}

const present = (found: Seen<State> | StorageError): Reply<State> =>
  found instanceof StorageError ? found : { _tag: "Present", seen: found }

const rowOf = ({ rows }: types.ResultSet): Readonly<Record<string, unknown>> | undefined => rows?.[0]

/** `vanished` is told of a record that was there, and is not any more: nothing of ours deletes one. */
export const make = (
  { call }: Caller,
  texts: Texts,
  vanished: (until: number) => Effect.Effect<void>
): Store<State, Cursor> => {
  const read = (operation: string, lockId: string, until: number): Effect.Effect<Reply<State>, StorageError> =>
    Effect.map(
      call(operation, { text: texts.read, values: [lockId], lockId, kind: "reads", level: "ballot" }, until),
      (result) => {
        const row = rowOf(result)
        return present(row === undefined ? absent : seen(operation, lockId, row.record))
      }
    )

  const write = (
    operation: string,
    lockId: string,
    base: Seen<State>,
    next: LockRecord | undefined,
    until: number
  ): Effect.Effect<Reply<State>, StorageError> => {
    const isNew = base.record === undefined
    const text = next === undefined ? undefined : json.encode(next)
    const statement =
      text === undefined
        ? { text: texts.remove, values: [lockId, base.state!] }
        : isNew
          ? { text: texts.insert, values: [lockId, text] }
          : { text: texts.update, values: [text, lockId, base.state!] }
    return call(operation, { ...statement, lockId, kind: "writes", level: "ballot" }, until).pipe(
      Effect.map((result): Reply<State> => {
        const row = rowOf(result)
        if (row?.["[applied]"] === true)
          return {
            _tag: "Written",
            seen: next === undefined ? absent : { record: next, revision: next.version, state: text! }
          }
        // What is not there is told by nothing, or by nothing in its columns. An insert fails for what is there.
        const isAbsent = !isNew && (row?.record === undefined || row.record === null)
        return present(isAbsent ? absent : seen(operation, lockId, row?.record))
      }),
      Effect.tap((reply) =>
        !isNew && reply._tag === "Present" && reply.seen.record === undefined ? vanished(until) : Effect.void
      ),
      // A later read finishes what some replicas have accepted. One that is still on its way, to a node that hangs, finds another record then, for whoever goes on writes one.
      Effect.catchIf(
        (error) => error.applied === "unknown" && error.isRetryable,
        (error) => Effect.succeed<Reply<State>>({ _tag: "Unknown", error })
      )
    )
  }

  const one = (operation: string, lockId: string, ask: Ask<State>, until: number) =>
    ask._tag === "Write" ? write(operation, lockId, ask.base, ask.next, until) : read(operation, lockId, until)

  return {
    name: "CassandraStorage",
    send: eachAlone(one, concurrency),
    page: (operation, from, until) =>
      Effect.map(
        call(
          operation,
          { text: texts.page, values: [], kind: "reads", level: "quorum", page: { size: pageSize, from } },
          until
        ),
        (result): Page<State, Cursor> => ({
          all: result.rows.map((row) => {
            const { id, record } = row as unknown as Readonly<Record<string, unknown>>
            return seen(operation, String(id), record)
          }),
          next: result.pageState ?? undefined
        })
      )
  }
}
