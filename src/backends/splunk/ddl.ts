/** The collection for locks, as its app has it in files, and as the request that makes it. */
import type { ResolvedPlace } from "./options.js"

/** What the newest version of a lock is found by. */
const accelerated = { lock: 1, seq: -1 }

const settings: Readonly<Record<string, string>> = {
  enforceTypes: "true",
  // Indexers need no locks.
  replicate: "false",
  "field.lock": "string",
  "field.seq": "number",
  "field.id": "string",
  "field.record": "string",
  "field.by": "string",
  "field.at": "number",
  "accelerated_fields.newest": JSON.stringify(accelerated)
}

export const definition = (collection: string): Readonly<Record<string, string>> => ({ name: collection, ...settings })

export const ddl = ({ collection }: ResolvedPlace): string =>
  `[${collection}]\n${Object.entries(settings)
    .map(([name, value]) => `${name} = ${value}\n`)
    .join("")}`

export const metadata = ({ collection }: ResolvedPlace, role: string): string =>
  `[collections/${collection}]\naccess = read : [ ${role} ], write : [ ${role} ]\nexport = none\n`
