/**
 * A connection to the file that stands at the path *now*. SQLite keeps the file that it opened, also when that was deleted or replaced meanwhile (by a deployment, a clean-up, a restore): its
 * holders would renew in a file that nobody else sees, while others take their locks in the new one.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import { statSync } from "node:fs"
import type { StorageError } from "../../LockError.js"
import type { Handle } from "./connection.js"

/** Device and inode; nothing where there is no file that can be seen. */
const identityOf = (filename: string): string | undefined => {
  try {
    const stat = statSync(filename, { throwIfNoEntry: false, bigint: true })
    return stat === undefined ? undefined : `${stat.dev}:${stat.ino}`
  } catch {
    // A loop of links, a directory that must not be read: to open it anew tells what is the matter.
    return undefined
  }
}

/** Each statement runs in the file that is at the path before it and after it. All statements are idempotent, so one that ran in a file that is gone runs again. */
export const make = (
  filename: string,
  connect: Effect.Effect<Handle, StorageError, Scope.Scope>
): Effect.Effect<Handle, StorageError, Scope.Scope> =>
  Effect.gen(function*() {
    const scope = yield* Effect.scope
    const turn = yield* Effect.makeSemaphore(1)
    /** With the identity from before, if there was one: a file that is replaced while it is opened must not pass for the one that was. */
    const connected = Effect.suspend(() => {
      const before = identityOf(filename)
      return Effect.map(connect, (handle) => ({ handle, identity: before ?? identityOf(filename) }))
    })
    /** A try that fails keeps nothing open. */
    const reconnected = Effect.flatMap(Scope.make(), (own) =>
      Scope.extend(connected, own).pipe(
        Effect.tap(() => Scope.addFinalizerExit(scope, (exit) => Scope.close(own, exit))),
        Effect.tapErrorCause((cause) => Scope.close(own, Exit.failCause(cause)))
      ))
    let { handle, identity } = yield* connected

    /** A former connection stays open until the layer ends: a statement may still be waiting on it. */
    const reopen = turn.withPermits(1)(Effect.suspend(() =>
      identityOf(filename) === identity ? Effect.void : Effect.uninterruptible(Effect.map(reconnected, (next) => {
        handle = next.handle
        identity = next.identity
      }))
    ))

    const run: Handle["run"] = <Row>(operation: string, text: string, params?: Readonly<Record<string, unknown>>) => {
      const once: Effect.Effect<ReadonlyArray<Row>, StorageError> = Effect.suspend(() =>
        identityOf(filename) === identity ? handle.run<Row>(operation, text, params) : Effect.zipRight(reopen, Effect.suspend(() => handle.run<Row>(operation, text, params)))
      )
      return Effect.flatMap(once, (rows) => identityOf(filename) === identity ? Effect.succeed(rows) : once)
    }
    return { run }
  })
