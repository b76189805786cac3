import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import { parseArgs } from "node:util"

export interface Options {
  readonly storage: "sqlite" | "postgres"
  readonly url: string | undefined
  readonly workers: number
  readonly turns: number
  readonly leaseMillis: number
  readonly json: boolean
}

export const help = `Several processes contend for one lock, and append to one shared file under it.
One holder is killed in the middle of its hold, another is frozen beyond its lease and then writes too late.

  npm run demo -- [options]

  --storage sqlite|postgres   where the lock is kept (default: sqlite, in a temporary file;
                              postgres: a private server of the demo's own)
  --url postgres://...        a PostgreSQL of yours; makes the table storage_lock in it
  --workers N                 processes, 3 to 50 (default: 10)
  --turns N                   turns of each, 2 to 100 (default: 3)
  --lease "2 seconds"         how long a dead holder keeps the lock, 1 to 60 seconds (default: 2 seconds)
  --json                      one JSON object per event and line, the last one a summary
  --help                      this text

Exit code: 0 only if every check at the end holds; 1 if not; 2 for a wrong option; 130 after Ctrl-C.
`

const integer = (name: string, text: string, least: number, most: number): number => {
  const value = Number(text)
  if (!Number.isInteger(value) || value < least || value > most) {
    throw new Error(`--${name} must be a whole number from ${least} to ${most}, but is ${JSON.stringify(text)}`)
  }
  return value
}

/** Throws an `Error` with a message for the user. `"help"`: only that was asked. */
export const parse = (args: ReadonlyArray<string>): Options | "help" => {
  const { values } = parseArgs({
    args: [...args],
    options: {
      storage: { type: "string" },
      url: { type: "string" },
      workers: { type: "string", default: "10" },
      turns: { type: "string", default: "3" },
      lease: { type: "string", default: "2 seconds" },
      json: { type: "boolean", default: false },
      help: { type: "boolean", short: "h", default: false }
    }
  })
  if (values.help) return "help"
  const storage = values.storage ?? (values.url === undefined ? "sqlite" : "postgres")
  if (storage !== "sqlite" && storage !== "postgres") {
    throw new Error(`--storage must be sqlite or postgres, but is ${JSON.stringify(storage)}`)
  }
  if (values.url !== undefined && (storage !== "postgres" || !/^postgres(ql)?:\/\//.test(values.url))) {
    throw new Error("--url must be a postgres:// URL, for --storage postgres")
  }
  const leaseMillis = Option.match(Duration.decodeUnknown(values.lease), {
    onNone: () => NaN,
    onSome: Duration.toMillis
  })
  if (!(leaseMillis >= 1000 && leaseMillis <= 60_000)) {
    throw new Error(
      `--lease must be a duration from 1 to 60 seconds such as "2 seconds", but is ${JSON.stringify(values.lease)}`
    )
  }
  return {
    storage,
    url: values.url,
    workers: integer("workers", values.workers, 3, 50),
    turns: integer("turns", values.turns, 2, 100),
    leaseMillis,
    json: values.json
  }
}
