/** A name that is no option's is refused: a misspelt option would pass for one that was left out. */
import * as Effect from "#effect/Effect"
import { InvalidOptions } from "../LockError.js"
import { kindOf } from "./input.js"

/** How many characters to insert, delete or replace to make one of the other (Levenshtein). */
const edits = (a: string, b: string): number => {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)))
    }
    row = next
  }
  return row[b.length]!
}

/** A part of a name is nearer than any misspelling. */
const distance = (given: string, name: string): number =>
  name.includes(given) || given.includes(name) ? 0 : edits(given, name)

const nearest = (key: string, names: ReadonlyArray<string>): string => {
  // No name is so long: more of the key tells nothing, and comparing it takes time.
  const given = key.toLowerCase().slice(0, 40)
  return names.reduce((best, name) =>
    distance(given, name.toLowerCase()) < distance(given, best.toLowerCase()) ? name : best
  )
}

export const notAnObject = (options: unknown): InvalidOptions | undefined =>
  typeof options !== "object" || options === null || Array.isArray(options)
    ? new InvalidOptions({ field: "options", kind: kindOf(options), rule: "an object" })
    : undefined

export const unknown = (key: string, names: ReadonlyArray<string>): InvalidOptions =>
  new InvalidOptions({
    field: key,
    kind: "unknown",
    rule: `the name of an option (did you mean ${nearest(key, names)}?)`
  })

export const invalidName = (options: unknown, names: ReadonlyArray<string>): InvalidOptions | undefined => {
  const fault = notAnObject(options)
  if (fault !== undefined) return fault
  const key = Object.keys(options as object).find((key) => !names.includes(key))
  return key === undefined ? undefined : unknown(key, names)
}

/** All names that there are: the compiler sees to it that none is missing. */
export const checkNames = <Options extends object>(
  options: Options,
  names: Readonly<Record<keyof Options, true>>
): Effect.Effect<void, InvalidOptions> =>
  Effect.suspend((): Effect.Effect<void, InvalidOptions> => {
    const fault = invalidName(options, Object.keys(names))
    return fault === undefined ? Effect.void : Effect.fail(fault)
  })
