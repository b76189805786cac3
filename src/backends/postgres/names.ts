/** Names of tables, channels and prepared statements, within what PostgreSQL allows. */
import { createHash } from "node:crypto"
import * as quote from "./quote.js"

/** PostgreSQL cuts longer names silently: two tables could become one. */
const longestName = 63

export const nameRule = `a name of 1 to ${longestName} bytes of UTF-8, without NUL (it is quoted: any other character may occur)`

export const nameFault = (name: string): string | undefined =>
  Buffer.byteLength(name) > longestName ? `a string of ${Buffer.byteLength(name)} bytes` : undefined

/** The table as it stands in statements: every part quoted, so that a dot or a quote is a character like any other. */
export const qualified = (table: string, schema: string | undefined): string =>
  schema === undefined ? quote.identifier(table) : `${quote.identifier(schema)}.${quote.identifier(table)}`

/** One channel per table of a database. From the names as the server resolved them: a schema given or found is the same channel. */
export const channel = (schema: string, table: string): string => {
  const plain = `effect-storage-lock:${schema}.${table}`
  return Buffer.byteLength(plain) <= longestName
    ? plain
    : `effect-storage-lock:${createHash("sha256").update(plain).digest("hex").slice(0, 40)}`
}

/** Names a prepared statement by its text: storages over different tables may share a connection. */
export const statementName = (operation: string, text: string): string =>
  `effect-storage-lock:${operation}:${createHash("sha256").update(text).digest("hex").slice(0, 16)}`
