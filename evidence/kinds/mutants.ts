/** Single changes of the kinds of lock, each a bug that somebody could make. The schedules must find them all. */
import type { Mutant } from "../simulate/mutants.js"

const mutant = (name: string, what: string, file: string, replace: string, by: string): Mutant => ({
  name,
  what,
  file: `src/kinds/${file}`,
  replace,
  by
})

const shared = (name: string, what: string, replace: string, by: string) => mutant(name, what, "shared.ts", replace, by)

export const mutants: ReadonlyArray<Mutant> = [
  shared(
    "other-kind-overtaken",
    "a live record of another kind is taken for a free one",
    "whole(record).some((lease) => left(lease) > 0)",
    "whole(record).some((lease) => left(lease) > lease.end)"
  ),
  shared(
    "revoked-by-others-ignored",
    "ids that are in `holds` alone, after a revoke by something that knows no kinds, keep nobody out",
    "state.strange.length === 0 && !isRevoked",
    "!isRevoked"
  ),
  shared(
    "data-alone-counts",
    "an id in `data` alone counts, though something that knows no kinds took it away",
    "present.has(entry.id) && left(leaseOf(entry)) > 0",
    "left(leaseOf(entry)) > 0"
  ),
  shared(
    "revoked-hold-had-back",
    "a late copy of a claim gives back what an operator has taken away",
    "const isRevoked = holds.some(({ id }) => id === mark(request.holdId))",
    "const isRevoked = false"
  ),
  shared(
    "token-not-greater",
    "a new hold has the token of the one before",
    "Math.max(last + 1, now)",
    "Math.max(last, 1)"
  ),
  shared(
    "upgrade-keeps-token",
    "a reader that becomes a writer keeps its token, though newer ones have read",
    "sibling !== undefined && (sibling.token === last || !rules.isAlone(part))",
    "sibling !== undefined"
  ),
  shared(
    "nobody-waits-first",
    "the place of who waits first keeps nobody out",
    "pending.id === request.holdId || rules.passes(holds, pending, part, request.ownerId)",
    "true"
  ),
  shared(
    "place-for-ever",
    "the place of who waits first never ends, though its process has died",
    "pending !== undefined && left(leaseOf(pending)) > 0 ? pending : undefined",
    "pending"
  ),
  shared(
    "place-stays",
    "who is let in keeps its place",
    "pending: pending?.id === request.holdId ? undefined : pending",
    "pending"
  ),
  shared(
    "try-takes-a-place",
    "who does not wait takes a place too",
    "request.waits !== true || (pending !== undefined && pending.id !== entry.id)",
    "pending !== undefined && pending.id !== entry.id"
  ),
  shared(
    "place-taken-away",
    "who waits takes the place of who waited before",
    "request.waits !== true || (pending !== undefined && pending.id !== entry.id)",
    "request.waits !== true"
  ),
  shared(
    "place-not-told",
    "who has a place is not told that it owes a release",
    "...(mine === undefined ? {} : { pending: true })",
    ""
  ),
  shared(
    "ended-hold-renewed",
    "a hold whose lease is over is renewed, though others may have come in",
    "const own = state.holds.find(({ id }) => id === request.holdId)\n    if (own === undefined)\n      return {",
    "const own = decode(record, rules).holds.find(({ id }) => id === request.holdId)\n    if (own === undefined)\n      return {"
  ),
  shared(
    "renewal-shortens",
    "a renewal with a shorter lease shortens it",
    "Math.max(own.end, moment.now + request.lease)",
    "moment.now + request.lease"
  ),
  shared(
    "renewal-not-seen",
    "a renewal is not seen by who watches that lease",
    "{ ...own, end, beat: versionAfter(record, moment) }",
    "{ ...own, end }"
  ),
  shared(
    "repeat-not-seen",
    "a repeated claim promises its lease again, and is not written",
    "if (!moment.isObserved) return",
    "if (own !== undefined) return"
  ),
  shared(
    "release-of-all",
    "a release takes all holds out",
    "holds: data.holds.filter(({ id }) => id !== request.holdId)",
    "holds: []"
  ),
  shared(
    "version-stands",
    "a change does not make the version greater",
    "record === undefined ? Math.max(1, now) : record.version + 1",
    "record === undefined ? Math.max(1, now) : record.version"
  ),
  shared(
    "lease-of-the-first",
    "the record says the end of the first hold, not the latest",
    "Math.max(latest, end), strangeEnd)",
    "latest || end, strangeEnd)"
  ),
  shared(
    "owner-in-record",
    "the record names the oldest owner, so an exclusive claim of that owner enters it",
    'ownerId: "",\n        holds: [...state.strange',
    'ownerId: state.holds[0]?.ownerId ?? "",\n        holds: [...state.strange'
  ),
  shared(
    "revoke-of-newer",
    "an operator takes newer holds away, too",
    "state.holds.filter(({ token }) => token === request.token)",
    "state.holds.filter(({ token }) => token >= request.token)"
  ),
  mutant(
    "two-upgradables",
    "two reads may both become a write",
    "readWrite.ts",
    'one !== "write" && other !== "write" && !(one === "upgradable" && other === "upgradable")',
    'one !== "write" && other !== "write"'
  ),
  mutant(
    "writer-beside-readers",
    "a write goes beside reads",
    "readWrite.ts",
    'one !== "write" && other !== "write" &&',
    'one !== "write" &&'
  ),
  mutant(
    "own-holds-count",
    "an owner's own holds keep it out",
    "readWrite.ts",
    "hold.ownerId === ownerId || goTogether(hold.part, wanted)",
    "goTogether(hold.part, wanted)"
  ),
  mutant(
    "owner-passes-its-place",
    "an owner's claims pass the place that the owner has",
    "readWrite.ts",
    "holds.some((hold) => hold.ownerId === ownerId) ||",
    "pending.ownerId === ownerId || holds.some((hold) => hold.ownerId === ownerId) ||"
  ),
  mutant(
    "own-limit-alone",
    "a claim goes by its own limit alone",
    "semaphore.ts",
    "Math.min(...all.map(({ limit }) => limit))",
    "all[all.length - 1]!.limit"
  ),
  mutant(
    "place-has-no-permits",
    "who passes does not leave room for who waits first",
    "semaphore.ts",
    "passes: (holds, pending, wanted) => hasRoom(holds, pending.part, wanted)",
    "passes: (holds, _, wanted) => hasRoom(holds, wanted)"
  ),
  mutant(
    "observation-goes-on",
    "a lease that was renewed is watched on as the one before",
    "observed.ts",
    "seen?.beat === beat ? seen :",
    "seen !== undefined ? { ...seen, beat } :"
  )
]
