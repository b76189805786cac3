/** Who may have what, read out of the record by other means than the library's: a second opinion on every claim. */
import type { Lease } from "../../src/LockKind.js"
import type { Claim, LockRecord } from "../../src/LockRecord.js"

interface Entry {
  readonly id: string
  readonly owner: string
  readonly part: unknown
  readonly token: number
  readonly lease: Lease
}

/** The words in `data`. */
export const read = (
  record: LockRecord
): { readonly holds: ReadonlyArray<Entry>; readonly pending: Entry | undefined } => {
  if (record.data === "") return { holds: [], pending: undefined }
  const { h, o, p } = JSON.parse(record.data)
  const entry = ([id, owner, part, token, , end, beat]: ReadonlyArray<any>): Entry => ({
    id,
    owner: o[owner][0],
    part,
    token,
    lease: { id, beat, end }
  })
  return { holds: h.map(entry), pending: p === undefined ? undefined : entry(p) }
}

const conflicts = (one: unknown, other: unknown): boolean =>
  one === "w" || other === "w" || (one === "u" && other === "u")

const fits = (kind: string, holds: ReadonlyArray<Entry>, claim: Claim): boolean => {
  if (kind === "readWrite") {
    const wanted = (claim.mode ?? "write")[0]
    return !holds.some(({ owner, part }) => owner !== claim.ownerId && conflicts(part, wanted))
  }
  const all = [...holds.map(({ part }) => part as [number, number]), [claim.permits ?? 1, claim.limit ?? 1] as const]
  let sum = 0
  for (const [permits] of all) sum += permits
  return all.every(([, limit]) => sum <= limit)
}

export const expected = (
  kind: string,
  record: LockRecord | undefined,
  claim: Claim,
  left: (lease: Lease) => number
): { readonly granted: boolean; readonly why: string } => {
  const granted = (why: string) => ({ granted: true, why })
  const refused = (why: string) => ({ granted: false, why })
  if (record === undefined) return granted("there is no record")
  if (record.kind !== kind) {
    const isLive =
      record.holds.length > 0 && left({ id: record.holds[0]!, beat: record.version, end: record.leaseExpireTime }) > 0
    return isLive ? refused("it is held as another kind") : granted("it was of another kind")
  }
  const all = read(record)
  const known = new Set(all.holds.map(({ id }) => id))
  const strange = record.holds.filter((id) => !known.has(id))
  const holds = all.holds.filter(({ id, lease }) => record.holds.includes(id) && left(lease) > 0)
  if (holds.some(({ id }) => id === claim.holdId)) return granted("it has it already")
  if (strange.some((id) => left({ id, beat: record.token, end: record.leaseExpireTime }) > 0))
    return refused("it was taken away until its lease ends")
  if (holds.some(({ id }) => id === `*${claim.holdId.slice(1)}`)) return refused("an operator took it away")
  if (!fits(kind, holds, claim)) return refused("others are in")
  const { pending } = all
  if (pending === undefined || left(pending.lease) <= 0 || pending.id === claim.holdId) return granted("there is room")
  if (kind === "readWrite")
    return holds.some(({ owner }) => owner === claim.ownerId) || !conflicts(pending.part, (claim.mode ?? "write")[0])
      ? granted("it goes beside who waits first")
      : refused("somebody waits first")
  return fits(kind, [...holds, pending], claim) ? granted("there is room for both") : refused("somebody waits first")
}
