/** Locks as people and programs read them. */
import type { LockInformation } from "../promise/information.js"

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

export const ofLocks = (locks: ReadonlyArray<LockInformation>): ReadonlyArray<string> =>
  rows([
    ["LOCK", "HOLDER", "SINCE", "LEASE UNTIL", "TOKEN"],
    ...locks.map((lock) => [
      shown(lock.lockId),
      holder(lock),
      time(lock.lockBeginTime),
      time(lock.leaseExpireTime),
      String(lock.token)
    ])
  ])

/** One lock in full. */
export const ofLock = (lock: LockInformation): ReadonlyArray<string> =>
  rows([
    ["lock", shown(lock.lockId)],
    ["holder", holder(lock)],
    ["owner id", shown(lock.ownerId)],
    ["times entered", String(lock.lockCount)],
    ["since", time(lock.lockBeginTime)],
    ["lease until", time(lock.leaseExpireTime)],
    ["token", String(lock.token)]
  ])
