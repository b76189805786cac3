import { appendFileSync, readFileSync, writeFileSync } from "node:fs"
import type { Write } from "./protocol.js"

/** A write that reached the resource, in the order of arrival. */
export interface Arrival {
  readonly write: Write
  readonly accepted: boolean
}

export interface Resource {
  readonly write: (write: Write) => boolean
  readonly highest: () => number
  readonly arrivals: ReadonlyArray<Arrival>
  /** The file as it is on disk. */
  readonly read: () => ReadonlyArray<Write>
}

/**
 * What the lock protects: a file that many append to. It knows nothing of locks or storages; it remembers the highest token it has seen and
 * refuses lower ones. That is all that fencing asks of a resource, and it holds even when a holder does not know that its lease is over.
 */
export const make = (file: string): Resource => {
  const arrivals: Array<Arrival> = []
  let highest = 0
  writeFileSync(file, "")
  return {
    write: (write) => {
      const accepted = write.token >= highest
      if (accepted) {
        highest = write.token
        appendFileSync(file, `${JSON.stringify(write)}\n`)
      }
      arrivals.push({ write, accepted })
      return accepted
    },
    highest: () => highest,
    arrivals,
    read: () =>
      readFileSync(file, "utf8")
        .split("\n")
        .filter((line) => line !== "")
        .map((line) => JSON.parse(line) as Write)
  }
}
