/** The console: a page and an API, until a signal ends it. */
import { once } from "node:events"
import { isIP } from "node:net"
import { connect } from "../../promise/index.js"
import type { LogEntry } from "../../promise/types.js"
import { codes } from "../codes.js"
import { Looker } from "../console/looker.js"
import { nameOf } from "../console/name.js"
import { serve } from "../console/server.js"
import * as tokens from "../console/token.js"
import { UsageError } from "../failure.js"
import type { Io } from "../io.js"
import type { Asked } from "../parse.js"
import { none, where } from "../storage.js"
import * as values from "../values.js"

const portOf = (text: string | undefined): number => {
  const port = text === undefined ? 7_171 : Number(text)
  if (!Number.isInteger(port) || port < 0 || port > 65_535 || text === "")
    throw new UsageError("--port must be a whole number from 0 to 65535", "console")
  return port
}

const isLoopback = (host: string): boolean => host === "localhost" || host === "::1" || /^127\./.test(host)

export const console = async (asked: Asked, io: Io): Promise<number> => {
  const at = where(asked, io.env)
  none(at, asked)
  const flag = (name: string) => asked.flags[name] as string | undefined
  const port = portOf(flag("port"))
  const host = flag("host") ?? "127.0.0.1"
  const every = values.time("every", flag("every")) ?? 1_000
  const file = flag("token-file")
  const canWrite = asked.flags["write"] === true
  if (file !== undefined && !canWrite) throw new UsageError("--token-file is for --write", "console")
  const token = canWrite ? tokens.find(file, io.env) : undefined
  const names = [...((asked.flags["allow-host"] as ReadonlyArray<string> | undefined) ?? []), host]
  const log = ({ level, message }: LogEntry) => {
    if (level === "warn" || level === "error") io.err(message)
  }
  const looker = new Looker(() => connect(at.url, { purgeAfter: false, log, ...at.options }), {
    name: nameOf(at.url),
    namespace: at.options.namespace ?? "",
    canWrite,
    every
  })
  try {
    await looker.start()
    const { error } = looker.storage
    if (error !== undefined) io.err(`the storage cannot be used yet, and is tried again: ${error}`)
    const server = await serve(looker, {
      host,
      port,
      names: new Set(names.filter((name) => isIP(name) === 0).map((name) => name.toLowerCase())),
      token: token?.token,
      fault: (error) => io.err(error instanceof Error ? (error.stack ?? error.message) : String(error))
    }).catch((error: NodeJS.ErrnoException) => {
      throw new UsageError(`cannot listen on ${host} port ${port}: ${error.code ?? error.message}`)
    })
    try {
      if (!isLoopback(host)) io.err("everybody who reaches this port can read the locks, and nothing is encrypted")
      io.out(server.url)
      if (token?.isNew === true) io.out(`token for changes: ${token.token}`)
      if (!io.signal.aborted) await once(io.signal, "abort")
    } finally {
      await server.close()
    }
  } finally {
    await looker.close()
  }
  return codes.ok
}
