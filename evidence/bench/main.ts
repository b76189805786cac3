/** The locks against the bare driver, and against others: see `help` in options.ts. */
import { asked } from "../arguments.js"
import * as options from "./options.js"

const chosen = asked(options)
// All the drivers come with it.
await (await import("./bench.js")).bench(chosen)
