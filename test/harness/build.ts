/** Builds what no package brings, ahead of the tests that want it. To be run in the background, with `EFFECT_STORAGE_LOCK_BUILD=1`. */
import * as Effect from "#effect/Effect"
import * as Tidb from "./tidb.js"

const began = performance.now()
void Effect.runPromise(Effect.result(Tidb.binary)).then((built) => {
  const said = built._tag === "Success" ? "TiDB is built" : built.failure.message
  process.stdout.write(`${said}, after ${Math.round((performance.now() - began) / 1000)} s\n`)
  process.exit(built._tag === "Success" ? 0 : 1)
})
