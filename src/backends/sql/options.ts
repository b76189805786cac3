/** Options of storages whose locks stand in a table of a SQL server, by what a dialect says of names. */
import type * as Duration from "#effect/Duration"
import type * as Effect from "#effect/Effect"
import { faulty, flagFault, textFault, valid } from "../../common/input.js"
import { unknownName } from "../../common/optionNames.js"
import { InvalidOptions } from "../../LockError.js"
import { besides } from "../shared/audit.js"
import { operation, operationNames, type OperationOptions, type ResolvedOperation } from "../shared/options.js"

/**
 * What all ways to all SQL servers have in common.
 *
 * @since 0.1.0
 * @category models
 */
export interface ServerOptions {
  /** Creates the table if it does not exist. If it exists, no right to create is needed. Default `true`. */
  readonly setup?: boolean | undefined
  /**
   * How long one storage operation may take, its wait for a connection included; `Storage.TimeLimit` shortens it. Default 5 seconds.
   */
  readonly operationTimeout?: Duration.Input | undefined
}

/** What a dialect calls the place of a table. */
type Place = "schema" | "database"

type Named<P extends Place> = { readonly [Name in "table" | P]?: string | undefined }

type Common<P extends Place> = Named<P> & ServerOptions & OperationOptions

export interface Names<P extends Place> {
  readonly place: P
  /** What the table is called if nothing is said. Default `storage_lock`. */
  readonly defaultTable?: string | undefined
  /** What is wrong with a text as a name, if something is. */
  readonly nameFault: (name: string) => string | undefined
  readonly nameRule: string
  /** The table as it stands in statements: every part quoted, so that a dot or a quote is a character like any other. */
  readonly qualified: (table: string, place: string | undefined) => string
}

export interface Table {
  readonly table: string
  /** Its schema, or what MySQL calls a database. */
  readonly place: string | undefined
  /** Quoted. */
  readonly qualified: string
}

export interface Resolved extends Table, ResolvedOperation {
  readonly setup: boolean
}

export const make = <P extends Place>({
  defaultTable = "storage_lock",
  nameFault,
  nameRule,
  place,
  qualified
}: Names<P>) => {
  const tableNames = { table: true, [place]: true } as Readonly<Record<"table" | P, true>>

  const wrong = (field: string, name: string): InvalidOptions | undefined =>
    faulty(field, textFault(name) ?? nameFault(name), nameRule)

  const tableOf = (options: Named<P>): Table | InvalidOptions => {
    const table = options.table ?? defaultTable
    const within: string | undefined = options[place]
    return (
      wrong("table", table) ??
      (within === undefined ? undefined : wrong(place, within)) ?? {
        table,
        place: within,
        qualified: qualified(table, within)
      }
    )
  }

  const resolve = (options: Common<P>): Resolved | InvalidOptions => {
    const table = tableOf(options)
    if (table instanceof InvalidOptions) return table
    const each = operation(options)
    if (each instanceof InvalidOptions) return each
    return flagFault("setup", options.setup) ?? { ...table, ...each, setup: options.setup ?? true }
  }

  return {
    /** What all ways have in common. `own`: the names of what this one has besides. */
    common: <Options extends Common<P>>(
      options: Options,
      own: Readonly<Record<Exclude<keyof Options, keyof Common<P>>, true>>
    ): Effect.Effect<Resolved, InvalidOptions> =>
      valid(unknownName(options, { ...tableNames, ...operationNames, setup: true, ...own }) ?? resolve(options)),

    /** A name of another table, as it stands in statements. */
    nameOf: (field: string, name: string, within: string | undefined): string | InvalidOptions =>
      wrong(field, name) ?? qualified(name, within),

    /** The same for the table of an audit. */
    ddlAudit: (text: (table: string) => string, options: Named<P>): string => {
      const fault = unknownName(options, tableNames)
      if (fault !== undefined) throw fault
      const table = tableOf({ ...options, table: options.table ?? besides(defaultTable) })
      if (table instanceof InvalidOptions) throw table
      return `-- The table of the audit. Times are milliseconds since the epoch.\n${text(table.qualified)}\n`
    },

    /** The text that makes a table. Throws what is wrong with its options. */
    ddl: (text: (table: string) => string, options: Named<P>): string => {
      const table = unknownName(options, tableNames) ?? tableOf(options)
      if (table instanceof InvalidOptions) throw table
      return text(table.qualified)
    }
  }
}
