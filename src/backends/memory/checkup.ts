/** What there is to say of locks in memory. */
import * as Effect from "#effect/Effect"
import type { Finding, Open } from "../../common/checkup.js"

const privately: Finding = {
  check: "storage",
  severity: "error",
  wrong: "the locks are in the memory of one process",
  leads: "no other process sees them, and each takes the same ones",
  cure: "give the URL of a storage that the processes share, such as sqlite:/var/lib/app/locks.db"
}

export const checkup: Open<object> = () =>
  Effect.succeed({
    ping: Effect.succeed(undefined),
    checks: [{ name: "storage", look: Effect.succeed([privately]) }]
  })
