/**
 * Who waits for a lock is known at the server by a user-level lock (`GET_LOCK`) of that name: a session that has it sleeps, to be woken when the lock is freed. The name is all that others know of it: the server
 * itself says which session has it, in the very statement that wakes it. So a number of a session never leaves the server, and never becomes that of another session on the way: not through a proxy,
 * not after a failover.
 */
import { createHash } from "node:crypto"
import type { Row } from "../sql/record.js"
import type { Packet } from "./packet.js"

/** So many processes can wait to be woken for one lock. A user-level lock has one owner, so each has a place of its own. Any more poll. */
const places = [0, 1, 2, 3] as const

/** What a lock is called, but for the place. */
export type NameOf = (lockId: string) => string

/** In hex, of so many digits, between these. */
const digits = 24
const head = "esl:"
const tail = ":"

/** As many as are remembered, so that a lock that is freed often is not hashed each time. */
const remembered = 1_000

/** By the database as the server calls it: the same table may be named in many ways. Names of user-level locks have no case, and are short. Two locks of one name would cost a claim. */
export const namesIn = (database: string, table: string): NameOf => {
  const known = new Map<string, string>()
  return (lockId) => {
    let name = known.get(lockId)
    if (name === undefined) {
      const hash = createHash("sha256").update(JSON.stringify([database.toLowerCase(), table.toLowerCase(), lockId]))
      if (known.size >= remembered) known.clear()
      known.set(lockId, (name = `${head}${hash.digest("hex").slice(0, digits)}${tail}`))
    }
    return name
  }
}

/** What is told of it among other texts in hex, and how it is read from there. */
export const digitsOf = (name: string): string => name.slice(head.length, -tail.length)
export const ofDigits = (text: string): string => `CONCAT('${head}', ${text}, '${tail}')`

/** Nothing in a name is to be escaped. */
export const quoted = (name: string): string => `_utf8mb4 '${name}'`

const isTaken = (name: string, place: number): string => `IF(IS_USED_LOCK(CONCAT(${name}, ${place})) IS NULL, 0, `

/** The places that somebody has, a bit for each. Where the first is free, no other is asked for: a release for which nobody waits asks once. `name` is an expression, and must not be NULL. */
export const taken = (name: string): string => {
  const [first, ...others] = places
  return `${isTaken(name, first)}${[1 << first, ...others.map((place) => `${isTaken(name, place)}${1 << place})`)].join(" + ")})`
}

/** Their names. */
export const namesOf = (name: string, bits: number): ReadonlyArray<string> =>
  places.filter((place) => (bits & (1 << place)) !== 0).map((place) => `${name}${place}`)

/** The name of the first place, as an expression. */
export const firstOf = (name: string): string => quoted(`${name}${places[0]}`)

/** Takes one place. 0 if it is the first; 1 if it is another, of which nobody hears when the first is free again, or none. */
export const takePlace = (name: string): string =>
  places.reduceRight(
    (rest, place) => `IF(GET_LOCK(${quoted(`${name}${place}`)}, 0) = 1, ${place === 0 ? 0 : 1}, ${rest})`,
    "1"
  )

/** Wakes those who have these names now. Where nobody has one, it fails, and does nothing. */
export const wake = (names: ReadonlyArray<string>): Packet => ({
  statements: names.map((name) => `KILL QUERY IS_USED_LOCK(${quoted(name)})`),
  read: () => []
})

/** The packet, whose rows tell by the bits of `sleepers` who is to be woken. */
export const naming = (packet: Packet, nameOf: (row: Row) => string): Packet => ({
  ...packet,
  wakes: true,
  read: (results) =>
    packet.read(results).map((row) => ({ ...row, sleepers: namesOf(nameOf(row), Number(row.sleepers)) }))
})

/** A row that answers a release, with the names of those who are to be woken. */
export interface Answered {
  readonly sleepers?: ReadonlyArray<string> | undefined
}
