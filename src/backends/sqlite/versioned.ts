import * as Effect from "#effect/Effect"
import * as Option from "#effect/Option"
import * as Stream from "#effect/Stream"
import type { StorageError } from "../../LockError.js"
import * as VersionedStore from "../../VersionedStore.js"
import type { Handle } from "./handle.js"
import { toParams, toRecord } from "./record.js"
import type { Row } from "./statements.js"
import * as statements from "./statements.js"
import { guarantees as native, pages, pageSize } from "./storage.js"

const { clock: _, ...rest } = native
const guarantees: VersionedStore.Service["guarantees"] = { ...rest, name: "SqliteStorage.versioned" }

/** Compare-and-set over the same table as the native storage: one row per lock id, whatever its kind. */
export const make = (handle: Handle, table: string, wakeUps: Stream.Stream<string>): VersionedStore.Service => {
  const sql = statements.make(table)
  const name = (operation: string) => `${guarantees.name}.${operation}`

  const write = (operation: string, lockId: string, text: string, params: Record<string, unknown>) =>
    Effect.flatMap(
      handle.write<unknown>(name(operation), text, params),
      (rows): Effect.Effect<void, VersionedStore.VersionMiss | StorageError> =>
        rows.length === 0 ? new VersionedStore.VersionMiss({ lockId }) : Effect.void
    )

  return VersionedStore.VersionedStore.of({
    create: (lockId, version, record) => write("create", lockId, sql.create, toParams({ ...record, lockId, version })),
    update: (lockId, expected, record) =>
      write("update", lockId, sql.update, { ...toParams({ ...record, lockId }), expected }),
    delete: (lockId, expected) => write("delete", lockId, sql.delete, { lockId, expected }),
    get: (lockId) =>
      Effect.map(handle.run<Row>(name("get"), sql.read, { lockId }), ([row]) =>
        row === undefined ? Option.none() : Option.some(toRecord(row))
      ),
    list: Stream.map(
      pages((after) => handle.run<Row>(name("list"), sql.listAll, { after, limit: pageSize })),
      toRecord
    ),
    time: Effect.map(handle.run<{ readonly now: number }>(name("time"), statements.time), (rows) => rows[0]!.now),
    wakeUps,
    guarantees
  })
}
