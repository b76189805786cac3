/** `storage-lock ddl`: prints what makes the storage's table. */
import type { Backend } from "../../connect/backends.js"
import { find } from "../../connect/connect.js"
import { UnknownScheme } from "../../connect/errors.js"
import { AuditUnavailable, offeredBy } from "../../LockAudit.js"
import type { StorageOptions } from "../../promise/types.js"
import { codes } from "../codes.js"
import { UsageError } from "../failure.js"
import type { Io } from "../io.js"
import type { Asked } from "../parse.js"
import { none, where } from "../storage.js"

/** Names of what is made. All else of the storage's options is no matter here. */
const names = ["table", "schema", "database", "index"]

/** It stands beside the locks, and is called after them. */
const ddlAudit = async (backend: Backend, storage: StorageOptions, io: Io): Promise<number> => {
  if (!offeredBy.includes(backend.name))
    throw new UsageError(new AuditUnavailable({ storage: backend.name, offeredBy }).message)
  const module = (await backend.load()) as { readonly ddlAudit?: (options: object) => string }
  if (module.ddlAudit === undefined) io.err(`the audit of ${backend.name} needs nothing to be there`)
  else {
    const { database, index, schema, table } = storage
    const besides = Object.entries({ table, index }).map(([name, of]) => [name, of && `${of}_audit`])
    const given = [...Object.entries({ database, schema }), ...besides].filter(([, value]) => value !== undefined)
    io.out(module.ddlAudit(Object.fromEntries(given)).trimEnd())
  }
  return codes.ok
}

export const ddl = async (asked: Asked, io: Io): Promise<number> => {
  const at = where(asked, io.env)
  none(at, asked)
  const found = find(at.url)
  if (found instanceof UnknownScheme) throw new UsageError(found.message)
  if (asked.flags["audit"] === true) return ddlAudit(found.backend, at.options.storage ?? {}, io)
  const module = (await found.backend.load()) as { readonly ddl?: (options: object) => string }
  if (module.ddl === undefined) io.err(`${found.backend.name} needs nothing to be there`)
  else {
    const given = Object.entries(at.options.storage ?? {}).filter(([name]) => names.includes(name))
    io.out(module.ddl(Object.fromEntries(given)).trimEnd())
  }
  return codes.ok
}
