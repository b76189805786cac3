/** Which options there are. A name that is none of them is refused: a misspelt option would pass for one that was left out. */
import { InvalidOptions } from "../LockError.js"
import { kindOf } from "../common/input.js"
import type { AcquireOptions, Options } from "./api.js"

type Names = Readonly<Record<keyof Options | keyof AcquireOptions, "both" | "layer" | "acquire">>

/** By where each may be given. */
const places: ReadonlyMap<string, Names[keyof Names]> = new Map(
  Object.entries({
    leaseExpireAfter: "both",
    leaseRefreshInterval: "both",
    acquireTimeout: "both",
    retry: "both",
    clockMargin: "both",
    holdAtMost: "both",
    lostAtEnd: "both",
    ownerLabel: "both",
    purgeAfter: "layer",
    namespace: "layer",
    ownerId: "acquire"
  } satisfies Names)
)

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

const nearest = (key: string, place: "layer" | "acquire"): string => {
  // No name is so long: more of the key tells nothing, and comparing it takes time.
  const given = key.toLowerCase().slice(0, 40)
  const names = Array.from(places).flatMap(([name, where]) => (where === "both" || where === place ? [name] : []))
  return names.reduce((best, name) =>
    distance(given, name.toLowerCase()) < distance(given, best.toLowerCase()) ? name : best
  )
}

const placeName = { layer: "an option of the layer", acquire: "an option of one acquire" }

export const invalidNames = (options: unknown, place: "layer" | "acquire"): InvalidOptions | undefined => {
  if (typeof options !== "object" || options === null || Array.isArray(options)) {
    return new InvalidOptions({ field: "options", kind: kindOf(options), rule: "an object" })
  }
  for (const key of Object.keys(options)) {
    const where = places.get(key)
    if (where === undefined) {
      return new InvalidOptions({
        field: key,
        kind: "unknown",
        rule: `the name of an option (did you mean ${nearest(key, place)}?)`
      })
    }
    // Left undefined, it is not given: options of a layer may be passed on with what is of the layer only taken out.
    if (where !== "both" && where !== place && (options as Record<string, unknown>)[key] !== undefined) {
      return new InvalidOptions({ field: key, kind: placeName[place], rule: placeName[where] })
    }
  }
  return undefined
}
