/** What the console makes of two looks. */
import { assert, describe, it } from "vitest"
import { difference, type Looked } from "../../src/cli/console/changes.js"
import { StorageClock } from "../../src/cli/console/clock.js"
import { pause } from "../../src/cli/console/pace.js"
import { nameOf } from "../../src/cli/console/name.js"
import type { Holder, LockInformation } from "../../src/promise/index.js"

const lock = (
  more: Partial<LockInformation> & { readonly begin?: number; readonly end?: number } = {}
): LockInformation => ({
  lockId: "a",
  kind: "exclusive",
  ownerId: "o",
  ownerLabel: "l",
  version: 1,
  token: 7,
  lockCount: 1,
  lockBeginTime: new Date(more.begin ?? 0),
  leaseExpireTime: new Date(more.end ?? 30_000),
  ...more
})

const never = () => false
const at = (now: number) => ({ here: now, there: now })
const looked = (now: number, ...locks: ReadonlyArray<LockInformation>) =>
  difference({ locks: new Map(), isCut: false }, locks, false, at(now), never)
const kinds = (before: Looked, now: number, ...locks: ReadonlyArray<LockInformation>) =>
  difference(before, locks, false, at(now), never).changes.map(({ kind, token }) => `${kind} ${token}`)

describe("between two looks", () => {
  it("nothing is said of what was there at the first", () => {
    assert.deepStrictEqual(difference(undefined, [lock()], false, at(0), never).changes, [])
  })

  it("a hold that is gone before its lease ended was given back", () => {
    assert.deepStrictEqual(kinds(looked(1_000, lock()), 2_000), ["released 7"])
  })

  it("a hold that was late, and is gone when its lease has ended, has expired", () => {
    const early = looked(1_000, lock())
    const late = difference(early, [lock()], false, at(29_500), never)
    assert.deepStrictEqual(late.changes, [])
    assert.deepStrictEqual(kinds(late, 30_500), ["expired 7"])
  })

  it("a hold that was well, and is gone after a long pause, has ended unseen", () => {
    assert.deepStrictEqual(kinds(looked(1_000, lock()), 90_000), ["unseen 7"])
  })

  it("another hold that began before the lease ended follows one that was given back; else one that has expired", () => {
    const late = difference(looked(1_000, lock()), [lock()], false, at(29_000), never)
    const next = (begin: number) => lock({ token: 8, ownerId: "p", begin, end: 60_000 })
    assert.deepStrictEqual(kinds(late, 29_900, next(29_500)), ["released 7", "held 8"])
    assert.deepStrictEqual(kinds(late, 30_900, next(30_001)), ["expired 7", "held 8"])
    const after = difference(late, [next(30_001)], false, at(30_900), never)
    assert.strictEqual(after.changes[0]!.nextToken, 8)
    assert.strictEqual(after.locks.get("a")!.handOvers, 1)
  })

  it("a hold without an owner was revoked, and is over in order when its lease ends", () => {
    const before = looked(1_000, lock())
    const revoked = difference(before, [lock({ ownerId: "", version: 2 })], false, at(2_000), never)
    assert.deepStrictEqual(
      revoked.changes.map(({ kind, ownerId }) => [kind, ownerId]),
      [["revoked", "o"]]
    )
    assert.deepStrictEqual(kinds(revoked, 30_500), ["released 7"])
  })

  it("a hold that the console itself has freed was revoked", () => {
    const { changes } = difference(looked(1_000, lock()), [], false, at(2_000), () => true)
    assert.deepStrictEqual(
      changes.map(({ kind }) => kind),
      ["revoked"]
    )
  })

  it("a renewal changes the lock, and is no news", () => {
    const { changes, set } = difference(
      looked(1_000, lock()),
      [lock({ version: 2, end: 40_000 })],
      false,
      at(2_000),
      never
    )
    assert.deepStrictEqual([changes, set], [[], ["a"]])
  })

  describe("at a lock that several may hold", () => {
    const holder = (token: number, more: Partial<Holder> = {}): Holder => ({
      ownerId: `o${token}`,
      ownerLabel: "l",
      token,
      mode: "read",
      lockBeginTime: new Date(0),
      leaseExpireTime: new Date(30_000),
      ...more
    })
    const shared = (...holders: ReadonlyArray<Holder>) => ({
      ...lock({ version: holders.length, token: holders[0]!.token, ownerId: holders[0]!.ownerId }),
      kind: "readWrite",
      holders,
      holderCount: holders.length
    })

    it("each hold comes and goes by itself, and the lock does not change hands", () => {
      const before = looked(1_000, shared(holder(1), holder(2)))
      assert.deepStrictEqual(kinds(before, 2_000, shared(holder(2), holder(3))), ["held 3", "released 1"])
      const after = difference(before, [shared(holder(2))], false, at(2_000), never)
      assert.deepStrictEqual([after.set, after.gone, after.locks.get("a")!.handOvers], [["a"], [], 0])
      assert.deepStrictEqual(kinds(before, 2_000), ["released 1", "released 2"])
    })

    it("the lease of each tells how it ended, though others go on", () => {
      const late = difference(
        looked(1_000, shared(holder(1), holder(2))),
        [shared(holder(1), holder(2))],
        false,
        at(29_500),
        never
      )
      const renewed = holder(2, { leaseExpireTime: new Date(60_000) })
      assert.deepStrictEqual(kinds(late, 30_500, shared(renewed)), ["expired 1"])
    })

    it("one that is revoked is told as such, and the others are not", () => {
      const before = looked(1_000, shared(holder(1), holder(2)))
      assert.deepStrictEqual(kinds(before, 2_000, shared(holder(1), holder(2, { ownerId: "" }))), ["revoked 2"])
    })

    it("an exclusive hold that follows them ends them, and the other way round", () => {
      assert.deepStrictEqual(kinds(looked(1_000, shared(holder(1))), 2_000, lock({ token: 8 })), [
        "held 8",
        "released 1"
      ])
      assert.deepStrictEqual(kinds(looked(1_000, lock()), 2_000, shared(holder(8))), ["held 8", "released 7"])
    })

    it("nothing is concluded of those beyond the first hundred", () => {
      const many = { ...shared(holder(2)), holderCount: 101 }
      assert.deepStrictEqual(kinds(looked(1_000, shared(holder(1), holder(2))), 2_000, many), [])
    })
  })

  it("nothing is concluded from what a list that is cut does not have", () => {
    assert.deepStrictEqual(difference(looked(1_000, lock()), [], true, at(90_000), never).changes, [])
  })
})

describe("the storage's clock", () => {
  it("is taken to agree, until a hold shows that it does not", () => {
    const clock = new StorageClock()
    clock.see(lock({ begin: 10_000, end: 40_000 }), { start: 11_000, end: 11_010 }, undefined)
    assert.strictEqual(clock.ahead, 0)
    // Begun in the future of this machine.
    clock.see(lock({ begin: 20_000, end: 50_000 }), { start: 12_000, end: 12_010 }, 11_000)
    assert.strictEqual(clock.ahead, 20_000 - 12_010)
  })

  it("is behind, if a hold that was not there before seems old", () => {
    const clock = new StorageClock()
    clock.see(lock({ begin: 1_000, end: 31_000 }), { start: 22_000, end: 22_010 }, 21_000)
    assert.strictEqual(clock.ahead, 1_001 - 21_000 + 5_000)
  })

  it("is not behind, if it was only long until the claim was committed", () => {
    const clock = new StorageClock()
    clock.see(lock({ begin: 9_000, end: 39_000 }), { start: 12_000, end: 12_010 }, 11_000)
    assert.strictEqual(clock.ahead, 0)
  })

  it("is learnt again when it was set", () => {
    const clock = new StorageClock()
    clock.see(lock({ begin: 20_000, end: 50_000 }), { start: 12_000, end: 12_010 }, 11_000)
    clock.see(lock({ begin: 13_000, end: 43_000 }), { start: 13_500, end: 13_510 }, 12_900)
    assert.strictEqual(clock.ahead, 0)
  })
})

describe("the name of a storage", () => {
  const names: ReadonlyArray<readonly [url: string, name: string]> = [
    ["postgres://app:s3cret@db.example.com:5432/app?sslmode=require", "postgres://db.example.com:5432/app"],
    ["mongodb://u:p@a,b,c/app?authSource=s3cret", "mongodb://a,b,c/app"],
    ["redis://:s3cr@/et@h/0", "redis://h/0"],
    ["sqlite:/var/lib/locks.db?s3cret", "sqlite:/var/lib/locks.db"],
    ["memory:", "memory"],
    ["consul://u:p@h:8500#s3cret", "consul://h:8500"],
    ["s3cret", "storage"]
  ]
  for (const [url, name] of names) it(`of ${url} has no secret in it`, () => assert.strictEqual(nameOf(url), name))
})

describe("the next look", () => {
  const usual = { every: 1_000, isWatched: false, failures: 0, left: Number.POSITIVE_INFINITY }

  it("is soon while somebody watches, and later while nobody does", () => {
    assert.strictEqual(pause({ ...usual, isWatched: true }), 1_000)
    assert.strictEqual(pause(usual), 10_000)
    assert.strictEqual(pause({ ...usual, every: 60_000 }), 60_000)
  })

  it("is in time to see a lease run out", () => {
    for (let left = 30_000; left > 1_500; left -= pause({ ...usual, left })) {
      assert.isAtMost(pause({ ...usual, left }), left / 2 + 1_000)
      assert.isAtLeast(pause({ ...usual, left }), 1_000)
    }
  })

  it("is later the longer the storage has been away, but not too late", () => {
    assert.deepStrictEqual(
      [1, 2, 3, 9].map((failures) => pause({ ...usual, failures, isWatched: true })),
      [2_000, 4_000, 8_000, 10_000]
    )
  })
})
