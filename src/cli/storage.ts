/** Which storage a command line means. */
import * as Fs from "node:fs"
import { connect } from "../promise/index.js"
import type { ConnectOptions, Locks, LogEntry, StorageOptions } from "../promise/types.js"
import { UsageError } from "./failure.js"
import type { Io } from "./io.js"
import type { Asked } from "./parse.js"
import * as values from "./values.js"

export interface Where {
  readonly url: string
  readonly options: ConnectOptions
  /** The positionals that are no URL. */
  readonly positionals: ReadonlyArray<string>
}

const isUrl = (text: string | undefined): text is string =>
  text !== undefined && /^[a-z][a-z0-9+.-]*:/i.test(text) && (text.includes("://") || /^(sqlite|memory):/i.test(text))

/** Who only looks makes no file where there is none: its name may be misspelt. The console waits for what is to come, and the doctor takes a lock of its own. */
const lookers = new Set(["list", "get", "watch", "audit", "release"])
const asFound = (url: string, command: string): StorageOptions =>
  lookers.has(command) && /^sqlite:/i.test(url) ? { setup: false } : {}

/** Whether everybody who lists the processes of this machine could read a secret. */
const hasSecret = (url: string): boolean =>
  /:\/\/[^/?#]*:[^/?#@]+@/.test(url) || /[?&](password|pwd|token|secret)[^=&]*=/i.test(url)

const fromFile = (file: string): string => {
  try {
    return Fs.readFileSync(file, "utf8").trim()
  } catch (error) {
    throw new UsageError(`--url-file cannot be read: ${(error as Error).message}`)
  }
}

export const where = ({ command, flags, positionals }: Asked, env: NodeJS.ProcessEnv): Where => {
  const variable = flags["url-env"] as string | undefined
  const file = flags["url-file"] as string | undefined
  const [first, ...rest] = positionals
  const given = isUrl(first) ? first : undefined
  if ([given, variable, file].filter((_) => _ !== undefined).length > 1)
    throw new UsageError("give the URL once: as an argument, by --url-env, or by --url-file", command.name)
  if (given !== undefined && hasSecret(given)) {
    throw new UsageError(
      "the URL has a secret in it, and everybody on this machine can read arguments: put it into $STORAGE_LOCK_URL, or into a file for --url-file"
    )
  }
  const name = variable ?? "STORAGE_LOCK_URL"
  const url = given ?? (file === undefined ? env[name] : fromFile(file))
  if (url === undefined || url === "") {
    throw new UsageError(
      variable === undefined && file === undefined
        ? "no URL: give one as an argument, in $STORAGE_LOCK_URL, or by --url-file"
        : `there is no URL in ${file === undefined ? `$${name}` : "the file of --url-file"}`,
      command.name
    )
  }
  const namespace = flags["namespace"] as string | undefined
  return {
    url,
    options: {
      storage: {
        ...asFound(url, command.name),
        ...values.options((flags["option"] as ReadonlyArray<string> | undefined) ?? [])
      },
      ...(namespace === undefined ? {} : { namespace })
    },
    positionals: given === undefined ? positionals : rest
  }
}

/** One lock id, and nothing more. */
export const lockOf = ({ positionals }: Where, { command }: Asked): string => {
  const [lock, ...more] = positionals
  if (lock === undefined) throw new UsageError("which lock?", command.name)
  if (more.length > 0) throw new UsageError(`one lock, and not ${positionals.length}`, command.name)
  return lock
}

export const none = ({ positionals }: Where, { command }: Asked): void => {
  if (positionals.length > 0) throw new UsageError(`${command.name} takes a URL and nothing more`, command.name)
}

/** Runs while connected. Nothing is purged by a visitor. */
export const connected = async <A>(
  { options, url }: Where,
  io: Io,
  more: ConnectOptions,
  use: (locks: Locks) => Promise<A>
): Promise<A> => {
  const log = ({ level, message }: LogEntry) => {
    if (level === "warn" || level === "error") io.err(message)
  }
  const locks = await connect(url, { purgeAfter: false, log, ...options, ...more })
  try {
    return await use(locks)
  } finally {
    await locks.close()
  }
}
