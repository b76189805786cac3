import { parseArgs } from "node:util"
import { number, oneOf } from "../arguments.js"
import { storages } from "../chaos/storages.js"

export type Options =
  | { readonly _tag: "Real"; readonly storage: string; readonly seconds: number; readonly seed: number }
  | { readonly _tag: "Simulated"; readonly hours: number; readonly seed: number }

export const help = `Schedules of every second in a fleet whose processes are killed and stopped. Then it is checked that every tick was run, and none twice.

  npm run schedules -- --storage postgres --seconds 600     five real processes over a real server
  npm run schedules -- --simulate 100                       so many hours of schedules, and so many terms of leaders, in virtual time

  --storage NAME    ${Object.keys(storages).join(", ")} (default: postgres)
  --seconds N       how long (default: 60)
  --simulate HOURS  no real processes
  --seed N          decides what goes wrong when (default: by chance, and told)
  --help            this

Exit code: 0 if nothing was violated; 1 if not; 2 for a wrong option.
`

/** Throws an `Error` with a message for the user. `"help"`: only that was asked. */
export const parse = (args: ReadonlyArray<string>): Options | "help" => {
  const { values } = parseArgs({
    args: [...args],
    options: {
      storage: { type: "string", default: "postgres" },
      seconds: { type: "string", default: "60" },
      simulate: { type: "string" },
      seed: { type: "string" },
      help: { type: "boolean", short: "h", default: false }
    }
  })
  if (values.help) return "help"
  const seed = values.seed === undefined ? Math.floor(Math.random() * 1e6) : number("seed", values.seed, 0, 2 ** 31)
  return values.simulate === undefined
    ? {
        _tag: "Real",
        storage: oneOf("storage", values.storage, Object.keys(storages)),
        seconds: number("seconds", values.seconds, 20, 1_000_000),
        seed
      }
    : { _tag: "Simulated", hours: number("simulate", values.simulate, 1, 1_000_000), seed }
}
