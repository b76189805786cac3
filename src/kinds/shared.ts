/**
 * The one transition of all kinds of lock that several may hold at once. What a kind adds is its rules: who goes with whom.
 *
 * - A hold is live if it is in `holds` **and** in `data`, and its lease is not over. An id in `data` alone was taken away by something that knows no kinds. An id in `holds` alone stands for the whole lock
 *   until `leaseExpireTime`.
 * - The first claim that waits is kept in the record (`pending`): it is let in before others who would keep it out, so nobody starves. It is no hold, and ends by itself.
 * - `ownerId` of the record is empty, for no owner has the empty id: an exclusive claim, of whatever version of this library, never enters it.
 */
import type { Lease, LockKind, Moment } from "../LockKind.js"
import { whole } from "../LockKind.js"
import * as LockRecord from "../LockRecord.js"
import { decode, type Data, type Entry, type PartCodec, withData } from "./data.js"

/** What may go beside what. All holds are live. */
export interface Rules<Part> extends PartCodec<Part> {
  readonly name: string
  readonly wanted: (request: LockRecord.Claim) => Part
  /** Whether there is room beside these holds. */
  readonly fits: (holds: ReadonlyArray<Entry<Part>>, wanted: Part, ownerId: string) => boolean
  /** Whether a claim goes before the pending one: for what its owner holds, or because there is room for both. */
  readonly passes: (holds: ReadonlyArray<Entry<Part>>, pending: Entry<Part>, wanted: Part, ownerId: string) => boolean
  /** Whether all holds of an owner have one token. */
  readonly ownerHasOneToken: boolean
  /** Whether nobody else's hold goes beside it. */
  readonly isAlone: (part: Part) => boolean
  readonly describe: (part: Part) => Pick<LockRecord.Holder, "mode" | "permits">
}

/** So long at most is a place kept for whoever waits first, in microseconds: then its process must have asked again. */
const longestPending = 10_000_000

/** How many of those that were taken away are remembered. */
const mostRevoked = 16

/** In place of a hold id that was taken away at lease end. None of two such is the same. */
const mark = (id: string): string => `*${id.slice(-(LockRecord.revokedHold.length - 1))}`
const isMark = (id: string): boolean => id.startsWith("*")

interface State<Part> extends Data<Part> {
  /** Live ids of which nothing is known but that they are there. */
  readonly strange: ReadonlyArray<string>
}

export const make = <Part>(rules: Rules<Part>): LockKind => {
  const leaseOf = ({ beat, end, id }: Entry<Part>): Lease => ({ id, beat, end })

  const isOurs = (record: LockRecord.LockRecord): boolean => record.kind === rules.name

  const strangers = (record: LockRecord.LockRecord, { holds }: Data<Part>): ReadonlyArray<string> => {
    const known = new Set(holds.map(({ id }) => id))
    return record.holds.filter((id) => !known.has(id))
  }

  /** Nothing is granted beside it, so the token stands still while it is there. The version does not: who waits writes, too. */
  const strange = (record: LockRecord.LockRecord, id: string): Lease => ({
    id,
    beat: record.token,
    end: record.leaseExpireTime
  })

  /** Without what is over. */
  const live = (record: LockRecord.LockRecord | undefined, { left }: Moment): State<Part> => {
    if (record === undefined || !isOurs(record)) return { holds: [], pending: undefined, revoked: [], strange: [] }
    const data = decode(record, rules)
    const present = new Set(record.holds)
    const { pending, revoked } = data
    return {
      holds: data.holds.filter((entry) => present.has(entry.id) && left(leaseOf(entry)) > 0),
      pending: pending !== undefined && left(leaseOf(pending)) > 0 ? pending : undefined,
      revoked,
      strange: strangers(record, data).filter((id) => left(strange(record, id)) > 0)
    }
  }

  const isLiveForeigner = (record: LockRecord.LockRecord | undefined, { left }: Moment): boolean =>
    record !== undefined && !isOurs(record) && whole(record).some((lease) => left(lease) > 0)

  /** The next record: of a lock that was of another kind, too. */
  const write = (
    record: LockRecord.LockRecord | undefined,
    lockId: string,
    state: State<Part>,
    moment: Moment,
    token = record?.token ?? 0
  ): LockRecord.LockRecord => {
    const strangeEnd = state.strange.length > 0 ? record!.leaseExpireTime : 0
    const end = state.holds.reduce((latest, { end }) => Math.max(latest, end), strangeEnd)
    return withData(
      {
        lockId,
        kind: rules.name,
        format: LockRecord.format,
        ownerId: "",
        holds: [...state.strange, ...state.holds.map(({ id }) => id)],
        token,
        version: versionAfter(record, moment),
        lockBeginTime: state.holds[0]?.begin ?? record?.lockBeginTime ?? moment.now,
        // Of a lock that nobody holds, it tells since when: what was free for long is purged.
        leaseExpireTime: end === 0 ? (record?.leaseExpireTime ?? moment.now) : end
      },
      { holds: state.holds, pending: state.pending, revoked: state.revoked },
      rules
    )
  }

  const holderOf =
    ({ times }: Moment) =>
    (entry: Entry<Part>): LockRecord.Holder => ({
      ownerId: entry.ownerId,
      ...LockRecord.labelled(entry.ownerLabel),
      token: entry.token,
      ...rules.describe(entry.part),
      ...times(leaseOf(entry), entry.begin)
    })

  /** As `entry` sees it: an owner with one token is told of as one, who has it since its first hold. */
  const viewOf = (
    record: LockRecord.LockRecord,
    state: State<Part>,
    entry: Entry<Part>,
    moment: Moment
  ): LockRecord.View => {
    const own = rules.ownerHasOneToken ? state.holds.filter(({ ownerId }) => ownerId === entry.ownerId) : [entry]
    const first = own[0]!
    const { format, kind, lockId, version } = record
    let holders: ReadonlyArray<LockRecord.Holder> | undefined
    return {
      lockId,
      kind,
      format,
      version,
      ownerId: entry.ownerId,
      ...LockRecord.labelled(first.ownerLabel),
      holds: own.map(({ id }) => id),
      token: entry.token,
      lockBeginTime: moment.times(leaseOf(first), first.begin).lockBeginTime,
      leaseExpireTime: moment.times(leaseOf(entry), entry.begin).leaseExpireTime,
      data: "",
      // Few ask for them, and there may be many.
      get holders() {
        return (holders ??= state.holds.map(holderOf(moment)))
      }
    }
  }

  const claimed = (
    record: LockRecord.LockRecord,
    state: State<Part>,
    entry: Entry<Part>,
    moment: Moment
  ): LockRecord.Step<LockRecord.ClaimOutcome> => ({
    record,
    outcome: { _tag: "Claimed", record: viewOf(record, state, entry, moment), validFor: entry.end - moment.now }
  })

  const claim: LockKind["claim"] = (record, request, moment) => {
    const { left, now } = moment
    if (isLiveForeigner(record, moment)) {
      const [lease] = whole(record!)
      const holder = { ...record!, ...moment.times(lease!, record!.lockBeginTime) }
      return { record, outcome: { _tag: "Held", holder, retryAfter: left(lease!) } }
    }
    const state = live(record, moment)
    const { holds, pending } = state
    const beat = versionAfter(record, moment)
    const own = holds.find(({ id }) => id === request.holdId)
    if (own !== undefined) {
      if (!moment.isObserved) return claimed(record!, state, own, moment)
      // Written again: who watches this lease must see it from now on, or this answer would promise too much.
      const again: Entry<Part> = { ...own, beat }
      const next: State<Part> = { ...state, holds: holds.map((entry) => (entry === own ? again : entry)) }
      return claimed(write(record, request.lockId, next, moment), next, again, moment)
    }
    const part = rules.wanted(request)
    const mayPass =
      pending === undefined || pending.id === request.holdId || rules.passes(holds, pending, part, request.ownerId)
    const entry: Entry<Part> = {
      id: request.holdId,
      ownerId: request.ownerId,
      ownerLabel: request.ownerLabel ?? "",
      part,
      token: 0,
      begin: now,
      end: now + request.lease,
      beat
    }
    // A late copy of a claim must not give back what an operator has taken away.
    const isRevoked = holds.some(({ id }) => id === mark(request.holdId))
    if (state.strange.length === 0 && !isRevoked && mayPass && rules.fits(holds, part, request.ownerId)) {
      const last = record?.token ?? 0
      const isOwn = ({ ownerId }: Entry<Part>) => rules.ownerHasOneToken && ownerId === request.ownerId
      const sibling = holds.find(isOwn)
      // Others have come in since: what it may do now that it could not do then, the resource takes only from the newest.
      const keeps = sibling !== undefined && (sibling.token === last || !rules.isAlone(part))
      const token = keeps ? sibling.token : Math.max(last + 1, now)
      const granted = { ...entry, token }
      const next: State<Part> = {
        ...state,
        holds: [...holds.map((hold) => (isOwn(hold) && hold.token !== token ? { ...hold, token } : hold)), granted],
        pending: pending?.id === request.holdId ? undefined : pending
      }
      return claimed(write(record, request.lockId, next, moment, Math.max(token, last)), next, granted, moment)
    }
    return refused(record, state, request, entry, moment)
  }

  /** Who waits, and is first, is kept in the record, and asks again before half of what that lasts is over. */
  const refused = (
    record: LockRecord.LockRecord | undefined,
    state: State<Part>,
    request: LockRecord.Claim,
    entry: Entry<Part>,
    moment: Moment
  ): LockRecord.Step<LockRecord.ClaimOutcome> => {
    const { left, now } = moment
    const { holds, pending, strange: unknown } = state
    const oldest = holds[0]
    const holder = oldest === undefined ? undefined : viewOf(record!, state, oldest, moment)
    const inTheWay = [
      ...holds.map(leaseOf),
      ...unknown.map((id) => strange(record!, id)),
      ...(pending === undefined || pending.id === entry.id ? [] : [leaseOf(pending)])
    ]
    const soonest = inTheWay.length === 0 ? request.lease : Math.min(...inTheWay.map(left))
    const span = Math.min(request.lease, longestPending)
    const held = (next: LockRecord.LockRecord | undefined, mine: number | undefined) =>
      ({
        record: next,
        outcome: {
          _tag: "Held",
          holder,
          retryAfter: Math.max(1, Math.ceil(mine === undefined ? soonest : Math.min(soonest, mine / 2))),
          ...(mine === undefined ? {} : { pending: true })
        }
      }) as const
    if (request.waits !== true || (pending !== undefined && pending.id !== entry.id)) return held(record, undefined)
    const rest = pending === undefined ? 0 : left(leaseOf(pending))
    // Half is gone, or will be when it is asked next.
    if (pending !== undefined && rest > span / 2) return held(record, rest)
    const next: State<Part> = { ...state, pending: { ...entry, end: now + span } }
    return held(write(record, request.lockId, next, moment), span)
  }

  const renew: LockKind["renew"] = (record, request, moment) => {
    if (record === undefined) return { record, outcome: { _tag: "NotHeld" } }
    const state = live(record, moment)
    const own = state.holds.find(({ id }) => id === request.holdId)
    if (own === undefined)
      return {
        record,
        outcome: {
          _tag: "NotHeld",
          current: { ...(view(record, moment) ?? record), token: record.token },
          because: why(record, request.holdId)
        }
      }
    const end = Math.max(own.end, moment.now + request.lease)
    const again: Entry<Part> = { ...own, end, beat: versionAfter(record, moment) }
    const next: State<Part> = { ...state, holds: state.holds.map((entry) => (entry === own ? again : entry)) }
    return {
      record: write(record, request.lockId, next, moment),
      outcome: {
        _tag: "Renewed",
        leaseExpireTime: moment.times(leaseOf(again), again.begin).leaseExpireTime,
        validFor: end - moment.now
      }
    }
  }

  const why = (record: LockRecord.LockRecord, holdId: string): "expired" | "revoked" | "gone" => {
    if (!isOurs(record)) return "gone"
    const { holds, revoked } = decode(record, rules)
    const isKnown = holds.some(({ id }) => id === holdId)
    const isThere = record.holds.includes(holdId)
    if (isKnown && isThere) return "expired"
    // Something that knows no kinds has taken it out of `holds`, or it was taken away by name.
    return isKnown || revoked.includes(holdId) || record.holds.includes(mark(holdId)) ? "revoked" : "gone"
  }

  /** At any time: what is over is left as it is. */
  const release: LockKind["release"] = (record, request) => {
    const none = { record, outcome: { _tag: "NotHeld" } } as const
    if (record === undefined || !isOurs(record)) return none
    const data = decode(record, rules)
    const isHold = record.holds.includes(request.holdId)
    const isPending = data.pending?.id === request.holdId
    if (!isHold && !isPending) return none
    const holds = record.holds.filter((id) => id !== request.holdId)
    const { format, kind, leaseExpireTime, lockBeginTime, lockId, ownerId, token } = record
    const rest = { lockId, kind, format, ownerId, token, lockBeginTime, leaseExpireTime }
    return {
      record: withData(
        { ...rest, holds, version: record.version + 1 },
        {
          ...data,
          holds: data.holds.filter(({ id }) => id !== request.holdId),
          pending: isPending ? undefined : data.pending
        },
        rules
      ),
      outcome: isHold ? { _tag: "Released", remaining: holds.length } : { _tag: "NotHeld" }
    }
  }

  const revoke: LockKind["revoke"] = (record, request, moment) => {
    const state = live(record, moment)
    const matching = state.holds.filter(({ token }) => token === request.token)
    const isStrange = state.strange.length > 0 && record?.token === request.token
    if (record === undefined || (matching.length === 0 && !isStrange)) return { record, outcome: { _tag: "NotHeld" } }
    const taken = new Set(request.when === "now" ? matching : matching.filter(({ id }) => !isMark(id)))
    // It is so already.
    if (request.when === "leaseEnd" && taken.size === 0) return { record, outcome: { _tag: "Revoked" } }
    const beat = versionAfter(record, moment)
    const next: State<Part> =
      request.when === "now"
        ? {
            ...state,
            strange: isStrange ? [] : state.strange,
            holds: state.holds.filter((entry) => !taken.has(entry)),
            revoked: [...state.revoked, ...Array.from(taken, ({ id }) => id)].slice(-mostRevoked)
          }
        : {
            ...state,
            // Nobody can renew it, for no hold id begins so. Its lease goes on as it was.
            holds: state.holds.map((entry) =>
              taken.has(entry) ? { ...entry, id: mark(entry.id), ownerId: "", ownerLabel: "", beat } : entry
            )
          }
    return { record: write(record, record.lockId, next, moment), outcome: { _tag: "Revoked" } }
  }

  const leases: LockKind["leases"] = (record) => {
    if (!isOurs(record)) return whole(record)
    const data = decode(record, rules)
    const present = new Set(record.holds)
    return [
      ...data.holds.filter(({ id }) => present.has(id)).map(leaseOf),
      ...strangers(record, data).map((id) => strange(record, id)),
      ...(data.pending === undefined ? [] : [leaseOf(data.pending)])
    ]
  }

  const view: LockKind["view"] = (record, moment) => {
    const state = live(record, moment)
    const [oldest] = state.holds
    if (oldest !== undefined) return viewOf(record, state, oldest, moment)
    const [unknown] = state.strange
    // Taken away by something that knows no kinds, until its lease ends.
    return unknown === undefined
      ? undefined
      : { ...record, ...moment.times(strange(record, unknown), record.lockBeginTime), holders: [] }
  }

  return { name: rules.name, claim, renew, release, revoke, leases, view }
}

const versionAfter = (record: LockRecord.LockRecord | undefined, { now }: Moment): number =>
  record === undefined ? Math.max(1, now) : record.version + 1
