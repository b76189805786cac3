/** The table: made if it is not there, looked at for what would be unsafe, and known again. */
import * as Effect from "#effect/Effect"
import * as Schedule from "#effect/Schedule"
import { sentence } from "../../common/checkup.js"
import type { StorageError } from "../../LockError.js"
import type { Caller, Statement } from "./caller.js"
import * as errors from "./errors.js"
import type { ResolvedCommon } from "./options.js"
import { schema, type Texts } from "./statements.js"
import { findings } from "./startupFindings.js"

/** How long a table may take to be made, in milliseconds: all nodes have to know of it. */
const longestMaking = 30_000

/** How long a table that another process has just made may take to be known to all nodes, in milliseconds, and to the one that already tells of it: as long as the driver gives one that it has made. */
const longestSpreading = 10_000
const pause = 100

type Row = Readonly<Record<string, unknown>>

export interface Place {
  readonly keyspace: string
  readonly table: string
}

const look = ({ call }: Caller, operation: string, text: string, values: ReadonlyArray<string>, until: number) =>
  Effect.map(
    call(operation, { text, values, kind: "reads", level: "any" }, until),
    ({ rows }) => (rows ?? []) as unknown as ReadonlyArray<Row>
  )

/** What tells a table from another one of its name; nothing if there is none. */
export const find = (
  caller: Caller,
  { keyspace, table }: Place,
  until: number,
  operation = "setup"
): Effect.Effect<{ readonly id: string; readonly expires: boolean } | undefined, StorageError> =>
  Effect.map(look(caller, operation, schema.table, [keyspace, table], until), ([row]) =>
    row === undefined ? undefined : { id: String(row.id), expires: Number(row.default_time_to_live ?? 0) !== 0 }
  )

/** Why the table cannot keep locks. */
const fault = (table: string, columns: ReadonlyArray<Row>): string | undefined => {
  const has = (name: string, kind: string) =>
    columns.some((column) => column.column_name === name && column.kind === kind && column.type === "text")
  const keys = columns.filter(({ kind }) => kind === "partition_key" || kind === "clustering").length
  return keys === 1 && has("id", "partition_key") && has("record", "regular")
    ? undefined
    : `the table ${JSON.stringify(table)} has not the one key \`id\` and the column \`record\`, both of type text: name another by \`table\``
}

/** Of what is told by the driver: how many nodes there are, and whether they have the same schema, as far as they have said. */
export interface Cluster {
  readonly nodes: () => number
  readonly agrees: () => Promise<boolean>
}

/** Whoever made the table waits until all nodes know of it, and whoever finds it does not know how long ago that was. A node that is down may not know of it for long. */
const spread = ({ agrees, nodes }: Cluster): Effect.Effect<void> =>
  Effect.suspend(() =>
    nodes() === 1
      ? Effect.void
      : Effect.promise(() => agrees().catch(() => false)).pipe(
          Effect.repeat({ schedule: Schedule.spaced(pause), until: (is) => is }),
          Effect.timeoutOption(longestSpreading),
          Effect.asVoid
        )
  )

/** Finds the table, or makes it, and refuses what would be unsafe. Its id. */
export const prepare = (
  caller: Caller,
  place: Place,
  texts: Texts,
  cluster: Cluster,
  { operationTimeout, setup }: ResolvedCommon
): Effect.Effect<string, StorageError> =>
  Effect.gen(function* () {
    const { keyspace, table } = place
    const bound = () => performance.now() + operationTimeout
    const [within] = yield* look(caller, "setup", schema.keyspace, [keyspace], bound())
    if (within === undefined)
      return yield* errors.schema(
        "setup",
        `there is no keyspace ${JSON.stringify(keyspace)}. It is not made by the layer, for how many copies it has is up to you`
      )
    let found = yield* find(caller, place, bound())
    if (found !== undefined && setup) yield* spread(cluster)
    if (found === undefined) {
      if (!setup)
        return yield* errors.schema(
          "setup",
          `there is no table ${JSON.stringify(table)} in the keyspace ${JSON.stringify(keyspace)}: \`ddl\` prints it, or leave out \`setup: false\``
        )
      // By all at the same node, which makes it once.
      const create: Statement = { text: texts.create, values: [], kind: "writes", level: "any" }
      yield* caller.call("setup", create, performance.now() + longestMaking)
      found = yield* find(caller, place, bound())
      if (found === undefined)
        return yield* errors.schema("setup", `the table ${JSON.stringify(table)} was made, and is not there`)
    }
    const wrong = fault(table, yield* look(caller, "setup", schema.columns, [keyspace, table], bound()))
    if (wrong !== undefined) return yield* errors.schema("setup", wrong)
    if (found.expires)
      return yield* errors.schema(
        "setup",
        `the table ${JSON.stringify(table)} has a default_time_to_live: records of locks that are held would go. Set it to 0`
      )
    yield* Effect.forEach(findings(keyspace, within, cluster.nodes()), (found) =>
      Effect.logWarning(`CassandraStorage: ${sentence(found)}`)
    )
    // That there is a majority, and that we may read.
    const last = performance.now() + longestSpreading
    yield* Effect.retry(
      Effect.suspend(() =>
        caller.call("setup", { text: texts.read, values: ["-"], lockId: "-", kind: "reads", level: "ballot" }, bound())
      ),
      { schedule: Schedule.spaced(pause), while: (error) => errors.isMissing(error) && performance.now() < last }
    )
    return found.id
  })
