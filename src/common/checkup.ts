/** What there is to know of a storage besides that it answers: what is set wrongly, what that can lead to, and how to fix it. */
import type * as Effect from "#effect/Effect"
import type * as Scope from "#effect/Scope"
import type { InvalidOptions, StorageError } from "../LockError.js"

/** `error`: locks can fail, or be held twice. `warning`: they can after a crash or a failover, or soon. `note`: good to know. */
export type Severity = "error" | "warning" | "note"

export interface Finding {
  /** What was looked at, in a word or two. */
  readonly check: string
  readonly severity: Severity
  /** What is so, and should not be. */
  readonly wrong: string
  readonly leads: string
  /** The statement or setting that fixes it. */
  readonly cure: string
}

/** What could not be looked at, mostly for want of a right. */
export interface Unchecked {
  readonly check: string
  readonly severity: "unchecked"
  readonly why: string
}

export type Look = Finding | Unchecked

/** Reads, and changes nothing. If it fails, that is why it was not checked. */
export interface Check {
  readonly name: string
  readonly look: Effect.Effect<ReadonlyArray<Look>, StorageError>
}

/** A storage that was connected to in order to look at it. */
export interface Patient {
  /** One round trip. Gives the storage's clock in milliseconds since the epoch, if it has one that can be read. */
  readonly ping: Effect.Effect<number | undefined, StorageError>
  readonly checks: ReadonlyArray<Check>
}

/** `options`: those of the layer. */
export type Open<Options> = (options: Options) => Effect.Effect<Patient, StorageError | InvalidOptions, Scope.Scope>

/** As a storage warns of it when it starts. */
export const sentence = ({ leads, wrong }: Finding): string => `${wrong}: ${leads}`

/** Where fewer connections are left than a process may open. */
export const room = (
  need: number,
  limits: ReadonlyArray<{ readonly left: number; readonly wrong: string; readonly cure: string }>
): ReadonlyArray<Finding> =>
  limits
    .filter(({ left }) => left < need)
    .map(({ cure, wrong }) => ({
      check: "connections",
      severity: "warning",
      wrong,
      leads: `a process opens up to ${need}, and claims and renewals that find none fail`,
      cure
    }))

/** Of servers that decide by a majority: whether their number makes sense, and whether a URL names them all. */
export const majority = ({
  all,
  are,
  inAll,
  named,
  odd,
  url
}: {
  readonly all: string
  readonly are: string
  readonly inAll: number
  readonly named: number
  readonly odd: string
  readonly url: string
}): ReadonlyArray<Finding> => [
  ...(inAll > 0 && inAll % 2 === 0
    ? [
        {
          check: are,
          severity: "warning" as const,
          wrong: `the ${all} has ${inAll} ${are} that vote`,
          leads: `it stands no more failures than with ${inAll - 1}, and has more that can fail`,
          cure: odd
        }
      ]
    : []),
  ...(named < inAll
    ? [
        {
          check: are,
          severity: "note" as const,
          wrong: `the URL names ${named} of ${inAll} ${are}`,
          leads: `when those fail the program has no lock, though the ${all} goes on`,
          cure: `name all of them: ${url}`
        }
      ]
    : [])
]

export const unchecked = (check: string, why: string): Unchecked => ({ check, severity: "unchecked", why })
