/**
 * Passwords that live for minutes (tokens of a cloud's IAM, secrets of Vault): give what tells the present one. It is asked at each new connection, and the lock is kept over the change.
 * `npm i ioredis@5`, and `REDIS_URL` of somebody who may make users: the program plays the provider of passwords as well.
 */
import { Config, Console, Effect, Layer, Redacted } from "effect"
import { StorageLock } from "effect-storage-lock"
import * as RedisStorage from "effect-storage-lock/RedisStorage"
import { Redis } from "ioredis"

/** What would be a request to the provider, or the reading of a file that its agent renews. */
let password = "the first one"
const present = Effect.sync(() => Redacted.make(password))

const user = `example-${process.pid}`

const program = Effect.gen(function* () {
  const address = Redacted.value(yield* Config.redacted("REDIS_URL"))
  const admin = yield* Effect.acquireRelease(
    Effect.sync(() => new Redis(address)),
    (admin) => Effect.promise(() => admin.quit())
  )
  const change = (next: string) =>
    Effect.promise(async () => {
      password = next
      await admin.call("ACL", "SETUSER", user, "on", "resetpass", `>${next}`, "~*", "&*", "+@all")
      // Providers end the connections of before, sooner or later.
      await admin.call("CLIENT", "KILL", "USER", user)
    })
  yield* change(password)
  yield* Effect.addFinalizer(() => Effect.promise(() => admin.call("ACL", "DELUSER", user)))

  const url = new URL(address)
  url.username = user
  url.password = ""
  const locks = StorageLock.layer().pipe(
    Layer.provide(RedisStorage.layer({ url: Redacted.make(url.toString()), password: present }))
  )

  yield* StorageLock.withLock(
    (lock) =>
      Effect.gen(function* () {
        yield* Console.log(`held: ${lock.unsafeRemainingMillis() > 0}`)
        yield* change("the second one")
        // The connection is gone; the next one asks. The layer renews by itself, here it is shown.
        yield* Effect.retry(lock.renew, { times: 5 })
        yield* Console.log(`renewed with the new password: ${lock.unsafeRemainingMillis() > 0}`)
      }),
    "nightly-report"
  ).pipe(Effect.provide(locks))
})

await Effect.runPromise(Effect.scoped(program))
