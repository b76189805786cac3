/** What is judged of the places of an acquire and of a hold, and every word that is said of it. */
import { assert, describe, it } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import * as Fiber from "#effect/Fiber"
import type * as Scope from "#effect/Scope"
import type { Claimant, Enclosing, RenewableHold, Place } from "../../src/core/claimant.js"
import type { Core } from "../../src/core/core.js"
import { inside, isOwn, placeOf, selfDeadlock, warn } from "../../src/core/nesting.js"
import { heard } from "../support/logged.js"

const scopes = [{}, {}] as unknown as readonly [Scope.Scope, Scope.Scope]

const place = (fiber: number, more?: Partial<Place>): Place => ({
  fiber,
  span: undefined,
  scope: undefined,
  enclosing: undefined,
  ...more
})

const storage = {} as Core["storage"]

const hold = (
  key: string,
  at: Place | undefined,
  more?: { state?: string; ownerId?: string; ownerLabel?: string; storage?: unknown }
): RenewableHold =>
  ({
    claimant: { key, lockId: `id of ${key}`, ownerId: more?.ownerId ?? "me", place: at } as unknown as Claimant,
    record: {
      lockId: key,
      ownerId: more?.ownerId ?? "me",
      ownerLabel: more?.ownerLabel,
      holds: ["h"],
      token: 7,
      version: 3,
      lockBeginTime: 1_000_000,
      leaseExpireTime: 2_000_000
    },
    state: more?.state ?? "held",
    storage: more?.storage ?? storage
  }) as unknown as RenewableHold

const body = (of: RenewableHold, fiber: number, outer?: Enclosing, isDirect = true): Enclosing => ({
  hold: of,
  fiber,
  outer,
  isDirect
})

const core = { storage } as Core

describe("an acquire that could never be satisfied", () => {
  it("is told of in full", () => {
    const error = selfDeadlock(core, "a", place(1, { enclosing: body(hold("a", place(1, { span: "outer" })), 1) }))
    assert.deepInclude({ ...error }, { field: "ownerId", kind: "not given" })
    assert.strictEqual(
      error!.rule,
      '"me", the owner id of the hold whose body this is, to enter the lock "id of a" again (`{ ownerId: lock.ownerId }`): ' +
        'without one, an acquire is an owner of its own, and would wait for ever for the hold of its own fiber (token 7, acquired in span "outer", fiber #1)'
    )
    assert.include(
      selfDeadlock(core, "a", place(1, { enclosing: body(hold("a", place(4)), 1) }))!.rule,
      "acquired in fiber #4)"
    )
  })

  it("to write in the body of a read is told how to: the owner id of the read would be refused as well", () => {
    const rule = (mode: "read" | "write") => {
      const read = hold("a", place(1))
      Object.assign(read.claimant, { share: { mode } })
      return selfDeadlock(core, "a", place(1, { enclosing: body(read, 1) }), { mode: "write" })!.rule
    }
    assert.include(rule("read"), "this is the body of a read of the lock")
    assert.include(rule("read"), "take it by `upgradable`, and `upgrade` it")
    assert.include(rule("write"), "{ ownerId: lock.ownerId }")
  })

  it("is one in the body of a hold of that lock, at that storage, by the fiber that runs it", () => {
    const refused = (enclosing: Enclosing | undefined, fiber = 1) =>
      selfDeadlock(core, "a", place(fiber, { enclosing })) !== undefined
    const a = hold("a", place(1))
    const b = hold("b", place(1))
    assert.isFalse(refused(undefined))
    assert.isTrue(refused(body(a, 1)))
    assert.isFalse(refused(body(a, 2)))
    assert.isFalse(refused(body(b, 1)))
    assert.isFalse(refused(body(hold("a", place(1), { state: "lost" }), 1)))
    assert.isFalse(refused(body(hold("a", place(1), { storage: {} }), 1)))
    assert.isTrue(refused(body(b, 1, body(a, 1))))
    assert.isFalse(refused(body(b, 1, body(a, 1), false)), "a forked fiber is between them")
  })
})

describe("a hold is one's own", () => {
  it("if it was acquired in the same fiber, in the same scope, or around this", () => {
    const outer = place(3)
    assert.isTrue(isOwn(place(1), place(1)))
    assert.isFalse(isOwn(place(1), place(2)), "neither has a scope")
    assert.isTrue(isOwn(place(1, { scope: scopes[0] }), place(2, { scope: scopes[0] })))
    assert.isFalse(isOwn(place(1, { scope: scopes[0] }), place(2, { scope: scopes[1] })))
    assert.isFalse(isOwn(place(1, { scope: scopes[0] }), place(2)))
    assert.isTrue(isOwn(place(1, { enclosing: body(hold("b", place(9)), 1, body(hold("a", outer), 3)) }), outer))
    assert.isFalse(isOwn(place(1, { enclosing: body(hold("a", place(3)), 3) }), outer), "another of the same fiber")
  })
})

describe("who waits perhaps for itself", () => {
  const said = (holds: ReadonlyArray<RenewableHold>, at: Place) =>
    heard((lines) => {
      const tasks: Array<Effect.Effect<void>> = []
      warn({ holds: new Set(holds), tasks, work: { notify: () => {} } } as unknown as Core, "a", at)
      return Effect.map(Effect.all(tasks), () => lines.map(({ level, message }) => `${level} ${message}`))
    })

  it.effect("is told so once, of that lock, if it is still held by the same piece of work", () =>
    Effect.gen(function* () {
      const own = hold("a", place(1), { ownerLabel: "the test" })
      assert.strictEqual(
        (yield* said([hold("b", place(1)), hold("a", undefined), hold("a", place(2)), own, own], place(1))).length,
        1
      )
      assert.deepStrictEqual(
        yield* said([hold("b", place(1)), hold("a", undefined), hold("a", place(2))], place(1)),
        []
      )
      const lines = yield* said([own], place(1, { span: "here" }))
      const text =
        'effect-storage-lock: an acquire of the lock "id of a" in span "here", fiber #1 has waited for 1 s, perhaps for itself: the lock was acquired in fiber #1, ' +
        'by the same piece of work (the test, owner "me", token 7, since 1970-01-01T00:00:01.000Z). If that waits for this, neither ends. ' +
        "To enter a lock again, give the owner id of the hold: { ownerId: lock.ownerId }"
      assert.deepStrictEqual(lines, [`Warning ${text}`])
      assert.include((yield* said([hold("a", place(1))], place(1)))[0]!, 'by the same piece of work (owner "me"')
    })
  )
})

it.effect(
  "a body knows its hold, and the holds around it; whether that waits for it is told by the fiber that called it",
  () =>
    Effect.gen(function* () {
      const here = Effect.withFiber<Place>((fiber) => Effect.succeed(placeOf(fiber, scopes[0])))
      const outside = yield* here
      assert.deepStrictEqual([outside.span, outside.scope, outside.enclosing], [undefined, scopes[0], undefined])
      assert.strictEqual((yield* Effect.withSpan(here, "named")).span, "named")
      const outer = hold("a", outside)
      yield* inside(outer, () =>
        Effect.gen(function* () {
          const within = yield* here
          assert.deepInclude(
            { ...within.enclosing },
            { hold: outer, fiber: outside.fiber, outer: undefined, isDirect: false }
          )
          const inner = yield* inside(hold("b", within), () => here)
          assert.strictEqual(inner.enclosing?.outer, within.enclosing)
          assert.isTrue(inner.enclosing?.isDirect)
          const forked = yield* Effect.flatMap(
            Effect.forkChild(Effect.flatMap(here, (called) => inside(hold("c", called), () => here))),
            (fiber) => Fiber.await(fiber)
          )
          assert(forked._tag === "Success")
          assert.isFalse(forked.value.enclosing?.isDirect)
        })
      )
    })
)
