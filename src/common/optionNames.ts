/** A name that is no option's is refused: a misspelt option would pass for one that was left out. */
import { InvalidOptions } from "../LockError.js"
import { kindOf } from "./input.js"

/** All names that there are: the compiler sees to it that none is missing, and none too many. */
export type Names<Options> = Readonly<Record<keyof Options, true>>

/** How many characters to insert, delete or replace to make one of the other (Levenshtein). */
export const edits = (a: string, b: string): number => {
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

/** A part of a name is nearer than any misspelling, and a longer part than a shorter one. */
const distance = (given: string, name: string): number =>
  name.includes(given) || given.includes(name) ? -Math.min(name.length, given.length) : edits(given, name)

const nearest = (key: string, names: ReadonlyArray<string>): string => {
  // No name is so long: more of the key tells nothing, and comparing it takes time.
  const given = key.toLowerCase().slice(0, 40)
  return names.reduce((best, name) =>
    distance(given, name.toLowerCase()) < distance(given, best.toLowerCase()) ? name : best
  )
}

export const notAnObject = (options: unknown, field = "options"): InvalidOptions | undefined =>
  typeof options !== "object" || options === null || Array.isArray(options)
    ? new InvalidOptions({ field, kind: kindOf(options), rule: "an object" })
    : undefined

/** `within`: the option whose value is the object with this name. */
export const unknown = (key: string, names: ReadonlyArray<string>, within?: string): InvalidOptions => {
  const path = (name: string) => (within === undefined ? name : `${within}.${name}`)
  return new InvalidOptions({
    field: path(key),
    kind: "unknown",
    rule: `the name of an option (did you mean ${path(nearest(key, names))}?)`
  })
}

/** What is wrong with the names in an object of options, or in one that is the value of the option `within`. */
export const unknownName = <Options>(
  options: unknown,
  names: Names<Options>,
  within?: string
): InvalidOptions | undefined => {
  const fault = notAnObject(options, within)
  if (fault !== undefined) return fault
  const key = Object.keys(options as object).find((key) => !Object.hasOwn(names, key))
  return key === undefined ? undefined : unknown(key, Object.keys(names), within)
}
