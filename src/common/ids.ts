/** Ids of locks, owners and holds: how they are made, checked and stored. */
import * as Context from "#effect/Context"
import * as Effect from "#effect/Effect"
import { InvalidLockId, InvalidOptions } from "../LockError.js"
import { textFault } from "./input.js"

/** Characters of an id, 6 random bits each; and how many of them all hold ids of a layer have in common. */
const idLength = 22
const markLength = 6
const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
const codes = Uint8Array.from(alphabet, (character) => character.charCodeAt(0))

/** The characters of ids to come, drawn in bulk: one draw costs more than the rest of an id. What is read from it at once is a string of its own, which a string that was put together is not. */
const pool = new Uint8Array(256 * idLength)
let used = pool.length

/** The characters of the next id, which may still be changed. */
const next = (): Uint8Array => {
  if (used === pool.length) {
    globalThis.crypto.getRandomValues(pool)
    for (let i = 0; i < pool.length; i++) pool[i] = codes[pool[i]! & 63]!
    used = 0
  }
  return pool.subarray(used, (used += idLength))
}

const textOf = (characters: Uint8Array): string =>
  String.fromCharCode.apply(null, characters as unknown as Array<number>)

export const randomId = (): string => textOf(next())

/** What the hold ids of a layer begin with, so that others see in a record whether they have met it before: 36 bits. */
export const randomMark = (): string => randomId().slice(0, markLength)

/** As long as any other id, with 96 bits of its own. */
export const holdIdOf = (mark: string): string => {
  const characters = next()
  for (let i = 0; i < markLength; i++) characters[i] = mark.charCodeAt(i)
  return textOf(characters)
}

/** By whose layer a lock is held, if that can be told. Who holds under ids of their own, or of an older version, is somebody else each time. */
export const processOf = (holds: ReadonlyArray<string>): string | undefined => holds[0]?.slice(0, markLength)

/** What they come from unless somebody gives another source; then `randomId` is the same, without an effect. */
export const randomIds: Effect.Effect<string> = Effect.sync(randomId)

/** Where hold ids and default owner ids come from: 22 characters base64url, and at least 128 random bits. */
export const Ids: Context.Reference<Effect.Effect<string>> = Context.Reference("effect-storage-lock/StorageLock/Ids", {
  defaultValue: () => randomIds
})

const maxUnits = 255

/** Stands between a namespace and an id. No namespace has it, so no two pairs are stored alike. */
const separator = "\u001f"

/**
 * The locks of those who purge, and who drop old entries of the audit, for all namespaces of a storage. No id of a program is stored like this: one that is stored with the separator in front has
 * another in it.
 */
export const purgeKey = `${separator}effect-storage-lock/purge`
export const auditKey = `${separator}effect-storage-lock/audit`

/** What an id is that cannot be stored byte for byte, or `undefined` if it can. */
const fault = (id: unknown, max: number): string | undefined =>
  typeof id === "string" && id.length > max ? `a string of ${id.length} UTF-16 units` : textFault(id)

const rule = (max: number): string => `a string of 1 to ${max} UTF-16 units, without NUL and without lone surrogates`

/** The id as it is stored: with the namespace, if there is one. */
export const storedId = (lockId: string, namespace: string | undefined): string | InvalidLockId => {
  const max = namespace === undefined ? maxUnits : maxUnits - namespace.length - 1
  const kind = fault(lockId, max)
  if (kind !== undefined) return new InvalidLockId({ field: "lockId", kind, rule: rule(max) })
  if (namespace !== undefined) return namespace + separator + lockId
  // An id of no namespace that looks as if it had one is marked by an empty one.
  if (!lockId.includes(separator)) return lockId
  return lockId.length < maxUnits
    ? separator + lockId
    : new InvalidLockId({
        field: "lockId",
        kind: `a string of ${lockId.length} UTF-16 units with U+001F`,
        rule: rule(maxUnits - 1)
      })
}

/** The id as the program knows it, or `undefined` if it is of another namespace, or none of a program. */
export const publicId = (stored: string, namespace: string | undefined): string | undefined => {
  if (stored === purgeKey || stored === auditKey) return undefined
  const end = stored.indexOf(separator)
  if (end <= 0) return namespace === undefined ? stored.slice(end + 1) : undefined
  return stored.slice(0, end) === namespace ? stored.slice(end + 1) : undefined
}

export const invalidOwner = (ownerId: string): InvalidOptions | undefined => {
  const kind = fault(ownerId, maxUnits)
  return kind === undefined ? undefined : new InvalidOptions({ field: "ownerId", kind, rule: rule(maxUnits) })
}

/** Empty: none. */
export const invalidLabel = (label: string): InvalidOptions | undefined => {
  const kind = label === "" ? undefined : fault(label, maxUnits)
  return kind === undefined
    ? undefined
    : new InvalidOptions({ field: "ownerLabel", kind, rule: `${rule(maxUnits)}, or empty for none` })
}

export const invalidNamespace = (namespace: string): InvalidOptions | undefined => {
  const kind = fault(namespace, 64) ?? (namespace.includes(separator) ? "a string with U+001F" : undefined)
  return kind === undefined
    ? undefined
    : new InvalidOptions({ field: "namespace", kind, rule: `${rule(64)}, and without U+001F` })
}
