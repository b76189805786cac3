/** The smaller port of every storage keeps its promises, and the cases can fail: each broken store is caught by its rule. */
import { describe, expect, it } from "#harness/vitest"
import * as Cause from "#effect/Cause"
import * as Effect from "#effect/Effect"
import * as Exit from "#effect/Exit"
import * as Layer from "#effect/Layer"
import * as Option from "#effect/Option"
import * as Redacted from "effect/Redacted"
import * as Stream from "#effect/Stream"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll } from "vitest"
import * as PostgresStorage from "../../src/backends/postgres/PostgresStorage.js"
import * as SqliteStorage from "../../src/backends/sqlite/SqliteStorage.js"
import * as MemoryStorage from "../../src/backends/memory/MemoryStorage.js"
import * as Conformance from "../../src/testing/index.js"
import type { LockRecord } from "../../src/LockRecord.js"
import * as VersionedStore from "../../src/VersionedStore.js"
import * as Shared from "../harness/shared.js"
import { describeServer } from "../harness/server.js"

Conformance.versionedSuite({ name: "memory", layer: MemoryStorage.layerVersioned, builds: "own" })

const folder = mkdtempSync(join(tmpdir(), "storage-lock-versioned-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
Conformance.versionedSuite({
  name: "SQLite",
  layer: SqliteStorage.layerVersioned({ filename: join(folder, "locks.db") })
})

await describeServer("on the shared server", Shared.postgres, (server) => {
  Conformance.versionedSuite({
    name: "PostgreSQL",
    layer: PostgresStorage.layerVersioned({ url: Redacted.make(server.url) })
  })
})

type Store = VersionedStore.Service
type Modify = NonNullable<Store["modify"]>

/** By compare-and-set, for the memory has no `modify` of its own: it needs none. */
const modifyOf =
  (store: Store): Modify =>
  (lockId, transition) =>
    Effect.gen(function* () {
      const found = Option.getOrUndefined(yield* store.get(lockId))
      const now = yield* store.time!
      const { outcome, record } = yield* Effect.sync(() => transition(found, now))
      if (record === undefined || record === found) return outcome
      yield* found === undefined
        ? store.create(lockId, record.version, record)
        : store.update(lockId, found.version, record)
      return outcome
    })

/** Others write between its read and its write. */
const forgetful =
  (store: Store): Modify =>
  (lockId, transition) =>
    Effect.flatMap(
      Effect.tap(store.get(lockId), () => Effect.yieldNow),
      (found) =>
        modifyOf(store)(lockId, (newest, now) => {
          const { outcome, record } = transition(Option.getOrUndefined(found), now)
          return {
            record: record === undefined ? undefined : { ...record, version: (newest?.version ?? 0) + 1 },
            outcome
          }
        })
    )

/** Where a change ends so, nobody can write that record any more. */
const neverGivenBack = (
  store: Store,
  isSo: (exit: Exit.Exit<unknown, unknown>, before: unknown, after: unknown) => boolean
): Store => {
  const locked = new Set<string>()
  const update: Store["update"] = (lockId, expected, record) =>
    Effect.suspend(() =>
      locked.has(lockId) ? new VersionedStore.VersionMiss({ lockId }) : store.update(lockId, expected, record)
    )
  return {
    ...store,
    update,
    modify: (lockId, transition) =>
      Effect.gen(function* () {
        const before = yield* store.get(lockId)
        const exit = yield* Effect.exit(modifyOf({ ...store, update })(lockId, transition))
        if (isSo(exit, before, yield* store.get(lockId))) locked.add(lockId)
        return yield* exit
      })
  }
}

/** What is wrong with it, the rule that tells, and how it is made of a right one. */
const broken: ReadonlyArray<readonly [what: string, rule: string, (store: Store) => Store]> = [
  [
    "create replaces",
    "create",
    (store) => ({
      ...store,
      create: (lockId, version, record) =>
        Effect.flatMap(store.get(lockId), (found) =>
          Option.isNone(found)
            ? store.create(lockId, version, record)
            : store.update(lockId, found.value.version, record)
        )
    })
  ],
  [
    "update ignores the version",
    "update",
    (store) => ({
      ...store,
      update: (lockId, expected, record) =>
        Effect.flatMap(store.get(lockId), (found) =>
          store.update(lockId, Option.isSome(found) ? found.value.version : expected, record)
        )
    })
  ],
  [
    "update of what is not there creates it",
    "update",
    (store) => ({
      ...store,
      update: (lockId, expected, record) =>
        Effect.catchTag(store.update(lockId, expected, record), "VersionMiss", (miss) =>
          Effect.flatMap(store.get(lockId), (found) =>
            Option.isSome(found) ? Effect.fail(miss) : store.create(lockId, record.version, record)
          )
        )
    })
  ],
  [
    "it states a larger record than it stores whole",
    "largest-record",
    (store) => ({
      ...store,
      update: (lockId, expected, record) =>
        store.update(lockId, expected, { ...record, data: record.data.slice(0, 4_000) })
    })
  ],
  [
    "a miss is no error",
    "update",
    (store) => ({
      ...store,
      update: (lockId, expected, record) =>
        Effect.catchTag(store.update(lockId, expected, record), "VersionMiss", () => Effect.void)
    })
  ],
  [
    "delete ignores the version",
    "delete",
    (store) => ({
      ...store,
      delete: (lockId, expected) =>
        Effect.flatMap(store.get(lockId), (found) =>
          store.delete(lockId, Option.isSome(found) ? found.value.version : expected)
        )
    })
  ],
  [
    "compares, and sets later",
    "atomic",
    (store) => ({
      ...store,
      update: (lockId, expected, record) =>
        Effect.flatMap(
          Effect.tap(store.get(lockId), () => Effect.yieldNow),
          (found) =>
            Option.isSome(found) && found.value.version === expected
              ? Effect.flatMap(store.get(lockId), (now) =>
                  Option.isSome(now) ? store.update(lockId, now.value.version, record) : Effect.void
                )
              : new VersionedStore.VersionMiss({ lockId })
        )
    })
  ],
  [
    "reads a cache",
    "newest",
    (store) => {
      const cache = new Map<string, Option.Option<LockRecord>>()
      return {
        ...store,
        get: (lockId) =>
          Effect.suspend(() =>
            cache.has(lockId)
              ? Effect.succeed(cache.get(lockId)!)
              : Effect.tap(store.get(lockId), (found) => Effect.sync(() => cache.set(lockId, found)))
          )
      }
    }
  ],
  [
    "reads in two steps",
    "whole",
    (store) => ({
      ...store,
      get: (lockId) =>
        Effect.zipWith(
          Effect.tap(store.get(lockId), () => Effect.yieldNow),
          store.get(lockId),
          (before, after) =>
            Option.map(before, (record) => ({ ...record, version: Option.getOrElse(after, () => record).version }))
        )
    })
  ],
  [
    "folds case",
    "ids",
    (store) => ({
      ...store,
      create: (lockId, version, record) => store.create(lockId.toLowerCase(), version, record),
      get: (lockId) => store.get(lockId.toLowerCase())
    })
  ],
  [
    "loses the kind",
    "round-trip",
    (store) => ({
      ...store,
      create: (lockId, version, record) => store.create(lockId, version, { ...record, kind: "exclusive" })
    })
  ],
  [
    "lists held locks only",
    "list",
    (store) => ({ ...store, list: Stream.filter(store.list, ({ holds }) => holds.length > 0) })
  ],
  [
    "tells milliseconds",
    "time",
    (store) => ({ ...store, time: Effect.map(store.time!, (now) => Math.floor(now / 1000)) })
  ],
  [
    "tells a transition another time",
    "modify",
    (store) => ({ ...store, modify: (lockId, transition) => store.modify!(lockId, (found) => transition(found, 1)) })
  ],
  ["modifies what it read before others wrote", "modify atomic", (store) => ({ ...store, modify: forgetful(store) })],
  ["modifies in spite of others", "modify beside update", (store) => ({ ...store, modify: forgetful(store) })],
  [
    "keeps others out after nothing was written",
    "modify without a write",
    (store) =>
      neverGivenBack(
        store,
        (exit, before, after) => Exit.isSuccess(exit) && JSON.stringify(before) === JSON.stringify(after)
      )
  ],
  [
    "keeps others out after a transition has thrown",
    "modify that throws",
    (store) => neverGivenBack(store, Exit.isFailure)
  ]
]

describe("a store that breaks one rule is caught by that rule", () => {
  for (const [what, rule, spoil] of broken) {
    it.live(`${what} [${rule}]`, () =>
      Effect.gen(function* () {
        const made = yield* MemoryStorage.makeVersioned()
        const time = made.time ?? Effect.sync(() => Date.now() * 1000)
        const guarantees = { ...made.guarantees, largestRecord: 10_000 }
        const right = { ...made, time, guarantees, modify: modifyOf(made) }
        const [each] = Conformance.versionedCases.filter((one) => one.rule === rule)
        const check = (store: Store) =>
          Conformance.checkVersioned(each!, { name: what, layer: Layer.succeed(VersionedStore.VersionedStore, store) })
        const result = yield* check(spoil(right))
        expect(result._tag).toBe("Failed")
        if (result._tag === "Failed") expect(Cause.hasDies(result.cause), Cause.pretty(result.cause)).toBe(false)
        expect((yield* check(right))._tag).toBe("Passed")
      })
    )
  }

  it("has for each rule a store that breaks it", () => {
    const covered = new Set(broken.map(([, rule]) => rule))
    expect(Conformance.versionedCases.map(({ rule }) => rule).filter((rule) => !covered.has(rule))).toEqual([])
  })
})
