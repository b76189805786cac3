/** What needs no hold: to look at locks, and to take one away from its holder. */
import * as Effect from "#effect/Effect"
import * as Option from "#effect/Option"
import * as Stream from "#effect/Stream"
import { InvalidLockId, InvalidOptions, type StorageError } from "../LockError.js"
import * as LockInformation from "../LockInformation.js"
import type { LockRecord } from "../LockRecord.js"
import { publicId, storedId } from "../common/ids.js"
import type { Service } from "./api.js"
import { callLimit, closedError } from "./core.js"
import { ofRelease } from "./options.js"
import type { Opened } from "./wanted.js"

/** A lock of another kind is none of ours. A storage of somebody else's may not tell the kind: then it knows only one. */
const isOf = (kind: string, record: LockRecord): boolean =>
  record.kind === kind || (record.kind as string | undefined) === undefined

export const looking = ({
  core,
  defaults,
  options
}: Opened): Pick<Service, "get" | "isLocked" | "list" | "forceRelease"> => {
  const limit = callLimit(defaults.lease)

  const unlessClosed = <A, E, R>(
    operation: string,
    self: Effect.Effect<A, E, R>
  ): Effect.Effect<A, E | StorageError, R> =>
    Effect.suspend((): Effect.Effect<A, E | StorageError, R> => (core.closed ? closedError(operation) : self))

  /** The id as it is stored, for operations that need no more. */
  const withKey = <A>(operation: string, lockId: string, use: (key: string) => Effect.Effect<A, StorageError>) =>
    Effect.suspend((): Effect.Effect<A, InvalidLockId | StorageError> => {
      const key = storedId(lockId, options.namespace)
      return key instanceof InvalidLockId
        ? Effect.fail(key)
        : unlessClosed(operation, core.calls.ask(operation, use(key), limit))
    })

  /** A hold of this very process need not wait for its next renewal to learn of it; nor need the waiters behind it. */
  const forced = (key: string, token: number): void => {
    for (const hold of core.holds) {
      if (hold.claimant.key === key && hold.record.token === token) hold.lose("Forced")
    }
    core.queues.hint(key, core.timeline.now())
  }

  const get: Service["get"] = (lockId) =>
    Effect.map(
      withKey("get", lockId, core.storage.get),
      Option.flatMap(({ record }) =>
        isOf(core.kind, record) ? Option.some(LockInformation.fromRecord(record, lockId)) : Option.none()
      )
    )

  return {
    get,
    isLocked: (lockId) => Effect.map(get(lockId), Option.isSome),
    list: Stream.unwrap(
      unlessClosed(
        "list",
        Effect.succeed(
          core.storage.list.pipe(
            Stream.filter(({ record }) => isOf(core.kind, record)),
            Stream.map(({ record }) => ({ record, lockId: publicId(record.lockId, options.namespace) })),
            Stream.filter((found): found is typeof found & { readonly lockId: string } => found.lockId !== undefined),
            Stream.map(({ lockId, record }) => LockInformation.fromRecord(record, lockId))
          )
        )
      )
    ),
    forceRelease: (lockId, options) => {
      const given = ofRelease(options)
      if (given instanceof InvalidOptions) return Effect.fail(given)
      const { token, when } = given
      return Effect.map(
        withKey("revoke", lockId, (key) =>
          Effect.tap(core.storage.revoke({ lockId: key, token, when }), ({ _tag }) =>
            Effect.sync(() => {
              if (_tag !== "Revoked") return
              core.events.publish({ _tag: "Forced", lockId, token, when })
              forced(key, token)
            })
          )
        ),
        (outcome) => outcome._tag === "Revoked"
      )
    }
  }
}
