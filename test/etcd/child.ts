/** A process of its own that adds to a number in a file, with nothing but the lock between it and its rivals. Prints the tokens under which it did. */
import * as Effect from "#effect/Effect"
import * as Layer from "#effect/Layer"
import * as Redacted from "effect/Redacted"
import { readFileSync, writeFileSync } from "node:fs"
import * as EtcdStorage from "../../src/backends/etcd/EtcdStorage.js"
import * as StorageLock from "../../src/StorageLock.js"

const [url, prefix, file, rounds] = process.argv.slice(2) as [string, string, string, string]

const add = StorageLock.withLock(
  (lock) =>
    Effect.gen(function* () {
      const value = Number(readFileSync(file, "utf8"))
      yield* Effect.sleep("2 millis")
      writeFileSync(file, String(value + 1))
      return lock.token
    }),
  "counter"
)

const program = Effect.forEach(Array.from({ length: Number(rounds) }), () => add).pipe(
  Effect.provide(StorageLock.layer().pipe(Layer.provide(EtcdStorage.layer({ url: Redacted.make(url), prefix }))))
)

process.stdout.write(JSON.stringify(await Effect.runPromise(program)))
