/** What a shared lock keeps in `data`: who holds it how, who waits first, and whose hold was taken away lately. As short as it can be: it is written with every change. */
import type { LockRecord } from "../LockRecord.js"

/** A hold, or the claim that waits first. `Part` is what a kind has of its own: a mode, or permits and their limit. */
export interface Entry<Part> {
  readonly id: string
  readonly ownerId: string
  readonly ownerLabel: string
  readonly part: Part
  readonly token: number
  readonly begin: number
  /** For a store without a clock: how long it lasts. */
  readonly end: number
  /** The version of the record at which it was last written. */
  readonly beat: number
}

export interface Data<Part> {
  readonly holds: ReadonlyArray<Entry<Part>>
  readonly pending: Entry<Part> | undefined
  /** The last that an operator took away at once: that can be told to whoever had them. */
  readonly revoked: ReadonlyArray<string>
}

export interface PartCodec<Part> {
  readonly encode: (part: Part) => unknown
  /** Nothing, if it is none. */
  readonly decode: (value: unknown) => Part | undefined
}

const empty: Data<never> = { holds: [], pending: undefined, revoked: [] }

const encode = <Part>({ holds, pending, revoked }: Data<Part>, part: PartCodec<Part>): string => {
  const owners: Array<readonly [id: string, label: string]> = []
  const numbers = new Map<string, number>()
  /** Who has several holds may have several labels. */
  const owner = (id: string, label: string): number => {
    const key = JSON.stringify([id, label])
    const known = numbers.get(key)
    if (known !== undefined) return known
    numbers.set(key, owners.length)
    return owners.push([id, label]) - 1
  }
  const entry = ({ beat, begin, end, id, ownerId, ownerLabel, part: own, token }: Entry<Part>) => [
    id,
    owner(ownerId, ownerLabel),
    part.encode(own),
    token,
    begin,
    end,
    beat
  ]
  const all = { h: holds.map(entry), ...(pending === undefined ? {} : { p: entry(pending) }) }
  return JSON.stringify({ o: owners, ...all, ...(revoked.length === 0 ? {} : { x: revoked }) })
}

/** Records that were made here, and what they say: of a hundred steps that travel together, only the last is ever written, and none is read again. */
const known = new WeakMap<LockRecord, Data<any>>()

/** The record with this in `data`, which is put into words when it is asked for. */
export const withData = <Part>(
  record: Omit<LockRecord, "data">,
  data: Data<Part>,
  part: PartCodec<Part>
): LockRecord => {
  let text: string | undefined
  const made: LockRecord = {
    ...record,
    get data() {
      return (text ??= encode(data, part))
    }
  }
  known.set(made, data)
  return made
}

/** What cannot be read has no entries: then the ids in `holds` stand for the whole lock until its lease ends, and nothing is let in beside them. */
export const decode = <Part>(record: LockRecord | undefined, part: PartCodec<Part>): Data<Part> => {
  if (record === undefined) return empty
  const own = known.get(record)
  if (own !== undefined) return own
  if (record.data === "") return empty
  try {
    const { h, o, p, x = [] } = JSON.parse(record.data)
    const entry = ([id, owner, own, token, begin, end, beat]: ReadonlyArray<any>): Entry<Part> => {
      const decoded = part.decode(own)
      if (decoded === undefined || typeof id !== "string" || ![token, begin, end, beat].every(Number.isSafeInteger))
        throw new Error("no entry")
      return {
        id,
        ownerId: String(o[owner][0]),
        ownerLabel: String(o[owner][1]),
        part: decoded,
        token,
        begin,
        end,
        beat
      }
    }
    return { holds: h.map(entry), pending: p === undefined ? undefined : entry(p), revoked: x.map(String) }
  } catch {
    return empty
  }
}
