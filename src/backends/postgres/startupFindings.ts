/** What of a server, as its settings are, weakens the promises. The layer warns of it, the doctor tells the cure, too. */
import type { Finding } from "../../common/checkup.js"
import type { Row } from "../sql/record.js"
import { identifier } from "./quote.js"

/** Where each setting comes from, as `pg_settings` says, and for whom. */
export interface Sources {
  readonly role: string
  readonly database: string
  readonly of: ReadonlyMap<string, string>
}

const nowhere: Sources = { role: "", database: "", of: new Map() }

/** Where it is set is where it has to be fixed: elsewhere that would win. */
export const set = (name: string, value: string, { database, of, role }: Sources): string => {
  const to = `SET ${name} = ${value};`
  switch (of.get(name)) {
    case "user":
      return `ALTER ROLE ${identifier(role)} ${to}`
    case "database":
      return `ALTER DATABASE ${identifier(database)} ${to}`
    case "database user":
      return `ALTER ROLE ${identifier(role)} IN DATABASE ${identifier(database)} ${to}`
    case "client":
      return `take ${name} out of the URL's options, or of PGOPTIONS`
    case "command line":
      return `take ${name} off the server's command line, and restart it`
    default:
      return `ALTER SYSTEM ${to} SELECT pg_reload_conf();`
  }
}

/** `row`: what the set-up has seen. */
export const findings = (table: string, row: Row, sources: Sources = nowhere): ReadonlyArray<Finding> => {
  const found: Array<Finding> = []
  const add = (check: string, severity: Finding["severity"], wrong: string, leads: string, cure: string) =>
    found.push({ check, severity, wrong, leads, cure })
  if (row.recovery === "yes")
    add(
      "primary",
      "error",
      "the server is a replica",
      "it is read-only until it is promoted, and every claim will fail",
      "give a URL that leads to the primary, or promote this one: SELECT pg_promote();"
    )
  if (row.fsync === "off")
    add(
      "fsync",
      "error",
      "fsync is off",
      "a crash of the server's machine may forget locks that are held",
      set("fsync", "on", sources)
    )
  if (row.full_page_writes === "off")
    add(
      "full_page_writes",
      "warning",
      "full_page_writes is off",
      "a crash of the server's machine may damage the table of locks",
      set("full_page_writes", "on", sources)
    )
  if (row.synchronous_commit === "off")
    add(
      "synchronous_commit",
      "error",
      "synchronous_commit is off",
      "a crash of the server may forget the last claims, and two owners may hold one lock",
      set("synchronous_commit", "on", sources)
    )
  if (row.persistence !== undefined && row.persistence !== null && row.persistence !== "p")
    add(
      "table",
      "error",
      `the table ${table} is not a permanent, logged one`,
      "a crash of the server forgets all locks",
      `ALTER TABLE ${table} SET LOGGED;`
    )
  if (row.encoding !== "UTF8" && row.encoding !== "SQL_ASCII")
    add(
      "encoding",
      "note",
      `the database is encoded in ${String(row.encoding)}`,
      "lock ids with characters beyond it will be refused",
      "CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0; or use ids of ASCII alone"
    )
  return found
}
