/** What is held in one storage, as whatever kind of lock, and how it is taken away: for those who look after the storage, and not for those who lock. */
import * as Effect from "#effect/Effect"
import * as Option from "#effect/Option"
import * as Result from "#effect/Result"
import * as Stream from "#effect/Stream"
import { publicId, storedId } from "../common/ids.js"
import { InvalidLockId, InvalidOptions, type StorageError } from "../LockError.js"
import * as LockInformation from "../LockInformation.js"
import { at, type LockKind } from "../LockKind.js"
import { exclusive } from "../LockRecord.js"
import type * as Storage from "../Storage.js"
import { readWrite } from "../kinds/readWrite.js"
import { semaphore } from "../kinds/semaphore.js"
import type { Service, TryError } from "./api.js"
import { closedError, type Core, longestCall } from "./core.js"
import { ofRelease } from "./options.js"

export interface Seeing extends Pick<Service, "get" | "forceRelease"> {
  readonly list: Stream.Stream<LockInformation.LockInformation, TryError>
}

const kinds: ReadonlyMap<string, LockKind> = new Map([readWrite, semaphore].map((kind) => [kind.name, kind]))

/** The services of the other kinds, by the names of the kinds. Opened when they are asked for; fails where there are none. */
export type Others = (kind: string) => Effect.Effect<Pick<Service, "get" | "forceRelease">, InvalidOptions>

export const make = (exclusives: Service, core: Core, others: Others): Seeing => {
  const { namespace, storage } = core

  /**
   * The lock storage tells of every record that is held, whatever its kind. One sample of its clock is enough to tell which of its holds are live; without a clock, each of them has to be observed, which
   * the service of that kind does.
   */
  const seen = (
    { record, validFor }: Storage.Snapshot,
    lockId: string
  ): Effect.Effect<Option.Option<LockInformation.LockInformation>, TryError> => {
    const whole = () => Option.some(LockInformation.fromRecord(record, lockId))
    const kind = kinds.get(record.kind)
    if (kind === undefined) return Effect.sync(whole)
    if (storage.guarantees.clock === "observed")
      return Effect.flatMap(Effect.result(others(record.kind)), (service) =>
        Result.isFailure(service) ? Effect.sync(whole) : service.success.get(lockId)
      )
    return Effect.sync(() =>
      Option.map(Option.fromNullishOr(kind.view(record, at(record.leaseExpireTime - validFor))), (view) =>
        LockInformation.fromRecord(view, lockId)
      )
    )
  }

  /** What is there under an id, as it is. */
  const look = (lockId: string) =>
    Effect.suspend((): Effect.Effect<Option.Option<Storage.Snapshot>, StorageError | InvalidLockId> => {
      const key = storedId(lockId, namespace)
      if (key instanceof InvalidLockId) return Effect.fail(key)
      if (core.closed) return closedError("get")
      return core.calls.ask("get", storage.get(key), longestCall)
    })

  return {
    get: (lockId) =>
      Effect.flatMap(
        look(lockId),
        Option.match({ onNone: () => Effect.succeedNone, onSome: (found) => seen(found, lockId) })
      ),
    list: Stream.unwrap(
      Effect.suspend(() =>
        core.closed
          ? closedError("list")
          : Effect.succeed(
              storage.list.pipe(
                Stream.mapEffect((found) => {
                  const lockId = publicId(found.record.lockId, namespace)
                  return lockId === undefined ? Effect.succeedNone : seen(found, lockId)
                }),
                Stream.filter(Option.isSome),
                Stream.map(({ value }) => value)
              )
            )
      )
    ),
    /** By the kind that the lock has: the token of a shared record is that of one hold of many, and without its kind they would all be taken away with it. */
    forceRelease: (lockId, options) => {
      const given = ofRelease(options)
      return given instanceof InvalidOptions
        ? Effect.fail(given)
        : Effect.flatMap(look(lockId), (found) => {
            const kind = Option.match(found, { onNone: () => exclusive, onSome: ({ record }) => record.kind })
            return kinds.has(kind)
              ? Effect.flatMap(others(kind), (service) => service.forceRelease(lockId, given))
              : exclusives.forceRelease(lockId, given)
          })
    }
  }
}
