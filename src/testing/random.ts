/**
 * Randomness without a dependency: ids that nobody else has, and sequences that a seed brings back.
 */
const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

/** Drawn from the platform many at a time: to ask for a few costs as much as to ask for thousands. */
let drawn = new Uint8Array(0)
let used = 0

/** Base64url characters from the platform's cryptographic source. */
export const text = (length: number): string => {
  if (used + length > drawn.length) {
    drawn = globalThis.crypto.getRandomValues(new Uint8Array(Math.max(4096, length)))
    used = 0
  }
  let characters = ""
  for (const end = used + length; used < end; used++) characters += alphabet[drawn[used]! & 63]
  return characters
}

/** 22 characters of base64url, 128 bits and some. */
export const holdId = (): string => text(22)

export const freshSeed = (): number => globalThis.crypto.getRandomValues(new Uint32Array(1))[0]!

export interface Generator {
  /** An integer from 0 up to, but not including, `below`. */
  readonly below: (below: number) => number
  readonly pick: <A>(from: ReadonlyArray<A>) => A
  /** True in `percent` of 100 cases. */
  readonly chance: (percent: number) => boolean
}

/** So many of them, in their order. */
export const some = <A>({ below }: Generator, from: ReadonlyArray<A>, count: number): ReadonlyArray<A> => {
  let left = Math.min(count, from.length)
  return from.filter((_, i) => below(from.length - i) < left && left-- > 0)
}

/** Mulberry32: small, and good enough to choose among requests. */
export const seeded = (seed: number): Generator => {
  let state = seed >>> 0
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = state
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return (mixed ^ (mixed >>> 14)) >>> 0
  }
  const below = (limit: number): number => next() % limit
  return {
    below,
    pick: (from) => from[below(from.length)]!,
    chance: (percent) => below(100) < percent
  }
}
