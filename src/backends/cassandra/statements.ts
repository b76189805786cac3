/** What is said to Cassandra. Names are quoted; all values are parameters, and texts. */
import { defaultTable, nameFault } from "./options.js"

export interface Texts {
  /** Of all that is known by an id. */
  readonly read: string
  readonly insert: string
  readonly update: string
  readonly remove: string
  readonly page: string
  readonly create: string
}

const quoted = (name: string): string => `"${name}"`

const named = (keyspace: string | undefined, table: string): string =>
  keyspace === undefined ? quoted(table) : `${quoted(keyspace)}.${quoted(table)}`

const create = (table: string): string =>
  `CREATE TABLE IF NOT EXISTS ${table} (id text PRIMARY KEY, record text) ` +
  "WITH comment = 'Locks of effect-storage-lock. To be changed by lightweight transactions alone.'"

/**
 * A record is compared as a whole, by the text that was read: so one that was deleted by hand and recreated is another one, and a condition that fails is answered with the present text, which is told
 * only of columns that the condition names.
 */
export const texts = (keyspace: string, table: string): Texts => {
  const locks = named(keyspace, table)
  return {
    read: `SELECT record FROM ${locks} WHERE id = ?`,
    insert: `INSERT INTO ${locks} (id, record) VALUES (?, ?) IF NOT EXISTS`,
    update: `UPDATE ${locks} SET record = ? WHERE id = ? IF record = ?`,
    remove: `DELETE FROM ${locks} WHERE id = ? IF record = ?`,
    page: `SELECT id, record FROM ${locks}`,
    create: create(locks)
  }
}

/** About the schema: what any role may read. */
export const schema = {
  keyspace: "SELECT replication, durable_writes FROM system_schema.keyspaces WHERE keyspace_name = ?",
  table: "SELECT id, default_time_to_live FROM system_schema.tables WHERE keyspace_name = ? AND table_name = ?",
  columns: "SELECT column_name, kind, type FROM system_schema.columns WHERE keyspace_name = ? AND table_name = ?"
} as const

/** For those who make the table by their own means. */
export const ddl = (keyspace: string | undefined, table: string = defaultTable): string => {
  const fault = (keyspace === undefined ? undefined : nameFault("keyspace", keyspace)) ?? nameFault("table", table)
  if (fault !== undefined) throw fault
  return `${create(named(keyspace, table))};`
}
