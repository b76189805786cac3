import { parseArgs } from "node:util"
import { number, oneOf } from "../arguments.js"
import { kinds, type Kind, wrongs, type Wrong } from "./protocol.js"
import { storages } from "./storages.js"

export interface Options {
  readonly storage: string
  readonly kind: Kind
  readonly wrong: Wrong | undefined
  /** All times in milliseconds. */
  readonly millis: number
  readonly seed: number
  readonly workers: number
  /** Fibers of each worker. */
  readonly fibers: number
  readonly locks: number
  readonly lease: number
  readonly margin: number
  /** From fault to fault, on average. */
  readonly spacing: number
  readonly window: number
  readonly json: string | undefined
  readonly report: string | undefined
  readonly logs: string | undefined
}

export const help = `Real processes contend for real locks on a real server, and everything goes wrong that can be made to. Then it is checked what the library promises.

  npm run chaos -- --storage postgres --minutes 10

  --storage NAME     ${Object.keys(storages).join(", ")}
  --kind NAME        ${kinds.join(", ")} (default: exclusive)
  --minutes N        how long, from when all workers are up (default: 1); or --seconds N
  --seed N           decides what goes wrong when (default: by chance, and told)
  --workers N        processes, 2 to 20 (default: 4)
  --fibers N         loops in each that acquire, 1 to 20 (default: 3)
  --locks N          1 to 20 (default: 3)
  --lease MS         lease of the locks (default: 1500)
  --margin MS        their clockMargin (default: a tenth of the lease)
  --spacing MS       from fault to fault, on average (default: 2000)
  --wrong NAME       ${wrongs.join(", ")}: workers that break a promise, to show that the judge finds it
  --json FILE        the result as JSON
  --report FILE      the result in Markdown
  --logs DIRECTORY   keeps the events of every window that shows a violation

Exit code: 0 if nothing was violated and, in a minute or more, every kind of fault was injected; 1 if not; 2 for a wrong option; 130 after Ctrl-C.
`

/** Throws an `Error` with a message for the user. `"help"`: only that was asked. */
export const parse = (args: ReadonlyArray<string>): Options | "help" => {
  const { values } = parseArgs({
    args: [...args],
    options: {
      storage: { type: "string" },
      kind: { type: "string", default: "exclusive" },
      wrong: { type: "string" },
      minutes: { type: "string" },
      seconds: { type: "string" },
      seed: { type: "string" },
      workers: { type: "string", default: "4" },
      fibers: { type: "string", default: "3" },
      locks: { type: "string", default: "3" },
      lease: { type: "string", default: "1500" },
      margin: { type: "string" },
      spacing: { type: "string", default: "2000" },
      json: { type: "string" },
      report: { type: "string" },
      logs: { type: "string" },
      help: { type: "boolean", short: "h", default: false }
    }
  })
  if (values.help) return "help"
  if (values.minutes !== undefined && values.seconds !== undefined)
    throw new Error("--minutes and --seconds exclude each other")
  const wrong = values.wrong === undefined ? undefined : oneOf("wrong", values.wrong, wrongs)
  const kind = oneOf("kind", values.kind, kinds)
  if (wrong === "sneaks" && kind !== "readWrite" && kind !== "semaphore")
    throw new Error("--wrong sneaks is for locks that several may have: --kind readWrite, or semaphore")
  const lease = number("lease", values.lease, 500, 60_000)
  return {
    storage: oneOf("storage", values.storage ?? "", Object.keys(storages)),
    kind,
    wrong,
    millis:
      values.seconds === undefined
        ? 60_000 * number("minutes", values.minutes ?? "1", 0.1, 100_000, false)
        : 1000 * number("seconds", values.seconds, 5, 1_000_000),
    seed: values.seed === undefined ? Math.floor(Math.random() * 1_000_000) : number("seed", values.seed, 0, 2 ** 31),
    workers: number("workers", values.workers, 2, 20),
    fibers: number("fibers", values.fibers, 1, 20),
    locks: number("locks", values.locks, 1, 20),
    lease,
    margin: values.margin === undefined ? lease / 10 : number("margin", values.margin, 1, lease / 2),
    spacing: number("spacing", values.spacing, 100, 600_000),
    window: 60_000,
    json: values.json,
    report: values.report,
    logs: values.logs
  }
}
