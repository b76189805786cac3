/** Which options there are, and where each may be given. */
import { InvalidOptions } from "../LockError.js"
import { notAnObject, unknown } from "../common/optionNames.js"
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

const namesOf = (place: "layer" | "acquire"): ReadonlyArray<string> =>
  Array.from(places).flatMap(([name, where]) => (where === "both" || where === place ? [name] : []))

const placeName = { layer: "an option of the layer", acquire: "an option of one acquire" }

export const invalidNames = (options: unknown, place: "layer" | "acquire"): InvalidOptions | undefined => {
  const fault = notAnObject(options)
  if (fault !== undefined) return fault
  for (const key of Object.keys(options as object)) {
    const where = places.get(key)
    if (where === undefined) return unknown(key, namesOf(place))
    // Left undefined, it is not given: options of a layer may be passed on with what is of the layer only taken out.
    if (where !== "both" && where !== place && (options as Record<string, unknown>)[key] !== undefined) {
      return new InvalidOptions({ field: key, kind: placeName[place], rule: placeName[where] })
    }
  }
  return undefined
}
