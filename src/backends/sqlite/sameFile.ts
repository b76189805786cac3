/**
 * A connection to the files that stand at the path *now*. Files that were deleted or replaced under a holder (by a deployment, a clean-up, a restore) go on serving the connections that have them
 * open: their holders would renew where nobody else looks, while others take their locks in the new files.
 */
import * as Effect from "#effect/Effect"
import * as Semaphore from "#effect/Semaphore"
import * as Exit from "#effect/Exit"
import * as Scope from "#effect/Scope"
import { StorageError } from "../../LockError.js"
import type { AtOnce, Handle, Named, Run } from "./handle.js"
import * as files from "./files.js"

interface Connection {
  readonly handle: Handle
  readonly files: files.Files
  readonly scope: Scope.Closeable
  closed: boolean
}

/**
 * What this process has open, by database. SQLite shares the index of the log among all connections of a process to one database: as long as one has the index of a deleted log, each new one gets
 * that, too. So they all close before one opens.
 */
const opened = new Map<string, Set<Connection>>()

/** Opening and closing go one at a time in a process, for that reason. */
const turn = Semaphore.makeUnsafe(1)

const closeOne = (connection: Connection) =>
  Effect.suspend(() => {
    connection.closed = true
    const { database } = connection.files
    const siblings = opened.get(database ?? "")
    siblings?.delete(connection)
    if (siblings?.size === 0) opened.delete(database ?? "")
    return Scope.close(connection.scope, Exit.void)
  })

/**
 * The last connection that closes writes its log into the database. From a log that was deleted this would overwrite what others have done since. A guard prevents it: it has the database open
 * while the others close, so that none is the last, and it may only read, so that it writes nothing when it closes itself.
 */
const closeAll = (connections: Iterable<Connection>, guard: Guard): Effect.Effect<void> =>
  Effect.uninterruptible(
    Effect.suspend(() => {
      const all = [...connections]
      for (const connection of all) connection.closed = true
      return Effect.scoped(
        Effect.andThen(guard(all[0]!.files.target), Effect.forEach(all, closeOne, { discard: true }))
      )
    })
  )

export type Guard = (filename: string) => Effect.Effect<void, never, Scope.Scope>

const close = (connection: Connection, guard: Guard): Effect.Effect<void> =>
  Effect.suspend(() => {
    if (connection.closed) return Effect.void
    const siblings = opened.get(connection.files.database ?? "")
    return siblings !== undefined && files.logIsGone(connection.files)
      ? closeAll(siblings, guard)
      : closeOne(connection)
  })

/** Closes what this process has open of files that stand no more where they stood. */
const closeStale = (target: string, guard: Guard) =>
  Effect.suspend(() => {
    const stale = [...opened.values()]
      .flatMap((siblings) => [...siblings])
      .filter((one) => one.files.target === target && !files.stillThere(one.files))
    return Effect.forEach(stale, (one) => close(one, guard), { discard: true })
  })

const shared = (operation: string, target: string) =>
  new StorageError({
    reason: "Connection",
    operation,
    isRetryable: true,
    applied: "no",
    message:
      `the log of ${JSON.stringify(target)} (-wal, -shm) was deleted, and a connection of this program that is not the library's still has it open. ` +
      "As long as it does, nothing of this process sees what others write: close it, or start the program again; and give the locks a file of their own"
  })

/** Each statement runs in the files that are at the path after it, too. All statements are idempotent, so one that ran in files that are gone runs again. */
export const make = (options: {
  readonly filename: string
  readonly name: string
  readonly connect: Effect.Effect<Handle, StorageError, Scope.Scope>
  readonly guard: Guard
}): Effect.Effect<Handle, StorageError, Scope.Scope> =>
  Effect.gen(function* () {
    const { connect, filename: path, guard } = options

    /** With the identity from before, if there was one: a file that is replaced while it is opened must not pass for the one that was. */
    const connectTo = (scope: Scope.Closeable): Effect.Effect<Connection, StorageError> =>
      Effect.gen(function* () {
        const before = files.at(path)
        yield* closeStale(before.target, guard)
        if (files.hasDeletedLog(before.target)) return yield* shared(`${options.name}.open`, before.target)
        const handle = yield* Scope.provide(connect, scope)
        const after = files.at(path)
        const connection: Connection = {
          handle,
          files: { ...after, database: before.database ?? after.database, log: before.log ?? after.log },
          scope,
          closed: false
        }
        const { database } = connection.files
        if (database !== undefined) opened.set(database, (opened.get(database) ?? new Set()).add(connection))
        return connection
      })

    /** A try that fails, or that nobody waits for any more, keeps nothing open. */
    const open = Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(Scope.make(), (scope) =>
        Effect.onError(restore(connectTo(scope)), (cause) => Scope.close(scope, Exit.failCause(cause)))
      )
    )

    let current: Connection = yield* Effect.acquireRelease(Effect.interruptible(turn.withPermits(1)(open)), () =>
      turn.withPermits(1)(Effect.suspend((): Effect.Effect<void> => close(current, guard)))
    )

    const isCurrent = () => !current.closed && files.stillThere(current.files)
    /** Before a statement the log alone is looked at: what is written into a deleted one may end in the database, over the changes of others. */
    const mayWrite = () => !current.closed && files.hasLog(current.files)
    const reopen = turn.withPermits(1)(
      Effect.suspend(() =>
        isCurrent()
          ? Effect.void
          : Effect.andThen(
              close(current, guard),
              Effect.uninterruptibleMask((restore) => Effect.map(restore(open), (next) => void (current = next)))
            )
      )
    )

    /** Whether what a connection did is in the files that stand at the path. Another one may have taken its place since. */
    const lasts = (used: Connection) => used === current && isCurrent()

    const through =
      (way: "run" | "write"): Run =>
      <Row>(operation: string, text: string, params?: Named): Effect.Effect<ReadonlyArray<Row>, StorageError> => {
        const once: Effect.Effect<ReadonlyArray<Row>, StorageError> = Effect.suspend(() =>
          current.handle[way]<Row>(operation, text, params)
        )
        const again = Effect.andThen(reopen, once)
        /** Also one that waited on a connection that was closed meanwhile. */
        const unlessGone = (self: typeof once, stands: () => boolean) =>
          Effect.matchEffect(self, {
            onSuccess: (rows) => (stands() ? Effect.succeed(rows) : again),
            onFailure: (error) => (stands() ? Effect.fail(error) : again)
          })
        return Effect.suspend(() => {
          const used = current
          return mayWrite() ? unlessGone(once, () => lasts(used)) : unlessGone(again, isCurrent)
        })
      }

    const atOnce: AtOnce = {
      read: (text, params) => current.handle.atOnce.read(text, params),
      isCurrent,
      write: (text, params, done, otherwise) => {
        if (!mayWrite()) return otherwise()
        const used = current
        used.handle.atOnce.write(text, params, (rows) => (lasts(used) ? done(rows) : otherwise()), otherwise)
      }
    }

    return { run: through("run"), write: through("write"), atOnce }
  })
