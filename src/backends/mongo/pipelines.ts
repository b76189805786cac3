/**
 * What each operation does to a document, as update pipelines that the server runs on that document in one atomic step. `LockRecord.step` says what they must do.
 *
 * Nothing a program chooses is read as an expression: it stands in `$literal`, or where a query takes a string for a string. A pipeline whose result is the document as
 * it was writes nothing.
 */
import * as LockRecord from "../../LockRecord.js"
import type { Document } from "./executor.js"
import * as record from "./record.js"

type Expression = unknown

/** `$$NOW`, the server's clock, is sampled once for a command. Whole microseconds, as a 64-bit integer. */
const now: Expression = { $multiply: [{ $toLong: "$$NOW" }, { $toLong: 1000 }] }

const literal = (value: unknown): Expression => ({ $literal: value })
const micros = (value: number): Expression => ({ $toLong: literal(value) })
const next = (field: string): Expression => ({ $add: [field, { $toLong: 1 }] })

const holds: Expression = { $ifNull: ["$holds", []] }
const isFree: Expression = { $eq: [{ $size: holds }, 0] }
const isOver: Expression = { $lte: ["$expires", now] }
const isHolder = (holdId: Expression): Expression => ({ $in: [holdId, holds] })

/** Of a newer format, or no lock at all. What an upsert has just made is neither: it has an `_id` and nothing else. */
const isUnreadable: Expression = {
  $or: [
    { $gt: ["$format", LockRecord.format] },
    { $and: [{ $eq: [{ $type: "$format" }, "missing"] }, { $ne: ["$$ROOT", { _id: "$_id" }] }] }
  ]
}

/** Of another kind of lock: held for who claims, and nobody's to renew or to free here. */
const isOfOthers: Expression = { $ne: ["$kind", LockRecord.exclusive] }

const same = "$$ROOT"
const cases = (...branches: ReadonlyArray<readonly [when: Expression, then: Expression]>): ReadonlyArray<Document> => [
  { $replaceWith: { $switch: { branches: branches.map(([when, then]) => ({ case: when, then })), default: same } } }
]
const changed = (change: Document): Expression => ({ $mergeObjects: [same, change] })

/** What every reply bears: the record, and the clock by which it was judged. */
export const projection: Document = { ...record.projection, now: "$$NOW" }

export const claim = ({ holdId, lease, ownerId, ownerLabel }: LockRecord.Claim): ReadonlyArray<Document> =>
  cases(
    [isUnreadable, same],
    [
      { $or: [isFree, isOver] },
      {
        _id: "$_id",
        kind: LockRecord.exclusive,
        format: LockRecord.format,
        owner: literal(ownerId),
        label: literal(ownerLabel ?? ""),
        holds: [literal(holdId)],
        token: { $max: [{ $add: [{ $ifNull: ["$token", 0] }, { $toLong: 1 }] }, now] },
        version: { $ifNull: [next("$version"), { $max: [{ $toLong: 1 }, now] }] },
        began: now,
        expires: { $add: [now, micros(lease)] },
        data: "",
        wake: { $ifNull: ["$wake", { $toLong: 0 }] }
      }
    ],
    [
      {
        $or: [{ $ne: ["$owner", literal(ownerId)] }, isOfOthers, isHolder(literal(holdId))]
      },
      same
    ],
    [
      true,
      changed({
        holds: { $concatArrays: [holds, [literal(holdId)]] },
        version: next("$version"),
        expires: { $max: ["$expires", { $add: [now, micros(lease)] }] }
      })
    ]
  )

/** The longest of the leases that are asked for holds that are in; one write for all holds of a lock. */
export const renew = (requests: ReadonlyArray<LockRecord.Renew>): ReadonlyArray<Document> => {
  const asked = {
    $filter: {
      input: literal(requests.map(({ holdId, lease, lockId }) => ({ lockId, holdId, lease }))),
      as: "asked",
      cond: { $and: [{ $eq: ["$$asked.lockId", "$_id"] }, { $in: ["$$asked.holdId", holds] }] }
    }
  }
  const leases = { $map: { input: asked, as: "asked", in: "$$asked.lease" } }
  return cases(
    [{ $or: [isUnreadable, isOfOthers, isFree, isOver, { $eq: [{ $size: asked }, 0] }] }, same],
    [
      true,
      changed({
        version: next("$version"),
        expires: { $max: ["$expires", { $add: [now, { $toLong: { $max: leases } }] }] }
      })
    ]
  )
}

/** Documents to be told of though they are not ours to change, besides those that a query is for. */
const orNewer = (query: Document): Document => ({
  $or: [{ format: { $gt: LockRecord.format } }, { kind: LockRecord.exclusive, ...query }]
})

export const releaseQuery = ({ holdId, lockId }: LockRecord.Release): Document => ({
  _id: lockId,
  ...orNewer({ holds: holdId })
})

export const release = ({ holdId }: LockRecord.Release): ReadonlyArray<Document> => {
  const rest = { $filter: { input: holds, as: "hold", cond: { $ne: ["$$hold", literal(holdId)] } } }
  return cases(
    [isUnreadable, same],
    [
      true,
      changed({
        holds: rest,
        version: next("$version"),
        wake: { $cond: [{ $eq: [{ $size: rest }, 0] }, next("$version"), "$wake"] }
      })
    ]
  )
}

export const revokeQuery = ({ lockId, token }: LockRecord.Revoke): Document => ({
  _id: lockId,
  ...orNewer({ token, holds: { $ne: [] }, $expr: { $not: [isOver] } })
})

export const revoke = ({ when }: LockRecord.Revoke): ReadonlyArray<Document> =>
  when === "now"
    ? cases([isUnreadable, same], [true, changed({ holds: [], version: next("$version"), wake: next("$version") })])
    : cases(
        [{ $or: [isUnreadable, { $eq: [holds, [LockRecord.revokedHold]] }] }, same],
        [true, changed({ owner: "", label: "", holds: [LockRecord.revokedHold], version: next("$version") })]
      )

/** The type bracket keeps out whatever has an `_id` that is no string: no lock id is. */
export const listQuery = (after: string, free: boolean): Document => ({
  _id: { $gt: after },
  format: { $gte: 0 },
  ...(free ? {} : { holds: { $ne: [] }, $expr: { $not: [isOver] } })
})

export const oldQuery = (olderThan: number): Document => ({
  format: { $lte: LockRecord.format },
  $expr: { $lt: ["$expires", { $subtract: [now, micros(olderThan)] }] }
})

/**
 * Tried at start, on a document that is no lock's: whether the server knows update pipelines, `$$NOW`, projections that compute, and every operator from above, and does not only
 * say so.
 */
export const trial = {
  _id: 0,
  pipeline: cases([
    { $and: [{ $eq: [{ $type: "$format" }, "missing"] }, { $eq: [same, { _id: "$_id" }] }] },
    {
      _id: "$_id",
      collection: literal("effect-storage-lock"),
      format: LockRecord.format,
      list: { $concatArrays: [[literal("$a")], [literal("$$b")]] }
    }
  ]),
  projection: {
    collection: 1,
    list: 1,
    now: "$$NOW",
    later: { $and: [{ $gt: [now, micros(1)] }, { $not: [{ $lte: [now, { $subtract: [now, micros(1)] }] }] }] },
    made: {
      $mergeObjects: [
        { left: { $size: "$list" }, right: 0 },
        {
          right: {
            $max: {
              $map: {
                input: {
                  $filter: {
                    input: literal([
                      { id: "$a", is: 5 },
                      { id: "a", is: 9 }
                    ]),
                    as: "each",
                    cond: { $and: [{ $in: ["$$each.id", "$list"] }, { $ne: ["$$each.is", 9] }] }
                  }
                },
                as: "each",
                in: "$$each.is"
              }
            }
          },
          none: { $ifNull: [next("$none"), { $cond: [{ $eq: ["$_id", 0] }, 7, 8] }] }
        }
      ]
    }
  },
  made: { left: 2, right: 5, none: 7 },
  filter: { _id: 0, list: { $ne: [] }, $expr: { $not: [{ $gt: [micros(1), now] }] } }
}
