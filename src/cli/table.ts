/** Locks as people and programs read them. */
import type { LockInformation } from "../promise/information.js"
import { heldAs, type Hold, holdsOf, untold } from "./holds.js"

/** Ids may hold anything, and a terminal obeys control characters. */
export const shown = (text: string): string =>
  text.replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, (character) => `\\u{${character.codePointAt(0)!.toString(16)}}`)

export const rows = (table: ReadonlyArray<ReadonlyArray<string>>): ReadonlyArray<string> => {
  const widths = table[0]!.map((_, column) => Math.max(...table.map((row) => row[column]!.length)))
  return table.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join("  ")
      .trimEnd()
  )
}

const time = (date: Date): string =>
  date
    .toISOString()
    .replace("T", " ")
    .replace(/\.\d+Z$/, "Z")

const holder = ({ ownerId, ownerLabel }: LockInformation): string =>
  ownerId === "" ? "(revoked)" : shown(ownerLabel === "" ? ownerId : ownerLabel)

const title = ["LOCK", "HOLDER", "SINCE", "LEASE UNTIL", "TOKEN"]

const ofHold = (hold: Hold): ReadonlyArray<string> => [
  shown(hold.lockId),
  holder(hold),
  time(hold.lockBeginTime),
  time(hold.leaseExpireTime),
  String(hold.token)
]

const more = (lock: LockInformation): ReadonlyArray<ReadonlyArray<string>> => {
  const count = untold(lock)
  return count === 0 ? [] : [[shown(lock.lockId), `(and ${count} more)`, "", "", "", ""]]
}

/** A line for each hold. */
export const ofLocks = (locks: ReadonlyArray<LockInformation>): ReadonlyArray<string> =>
  rows([
    [...title, "HELD AS"],
    ...locks.flatMap((lock) => [...holdsOf(lock).map((hold) => [...ofHold(hold), shown(heldAs(hold))]), ...more(lock)])
  ])

const kinds: Readonly<Record<string, string>> = {
  exclusive: "exclusive",
  readWrite: "read-write lock",
  semaphore: "semaphore"
}

/** One lock in full. */
export const ofLock = (lock: LockInformation): ReadonlyArray<string> => {
  const kind = ["kind", shown(kinds[lock.kind] ?? lock.kind)]
  if (lock.holders === undefined)
    return rows([
      ["lock", shown(lock.lockId)],
      kind,
      ["holder", holder(lock)],
      ["owner id", shown(lock.ownerId)],
      ["times entered", String(lock.lockCount)],
      ["since", time(lock.lockBeginTime)],
      ["lease until", time(lock.leaseExpireTime)],
      ["token", String(lock.token)]
    ])
  return [
    ...rows([["lock", shown(lock.lockId)], kind, ["holds", String(lock.holderCount ?? lock.holders.length)]]),
    "",
    ...rows([
      ["HOLDER", "OWNER ID", "SINCE", "LEASE UNTIL", "TOKEN", "HELD AS"],
      ...holdsOf(lock).map((hold) => {
        const [, name, ...rest] = ofHold(hold)
        return [name!, shown(hold.ownerId), ...rest, shown(heldAs(hold))]
      }),
      ...more(lock).map((row) => row.slice(1).concat(""))
    ])
  ]
}
