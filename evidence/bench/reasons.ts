import * as lines from "./lines.js"
import { difference, owners, type Parts, sum } from "./parts.js"
import { holding, renewing } from "./names.js"
import type { Profile } from "./profiles.js"
import type { Measured } from "./rounds.js"

/** Why a goal is not met, where it is not. Each is what its measurements show, or what the other one leaves out. */
export const memory = (least: Measured | undefined): string | undefined =>
  least === undefined
    ? undefined
    : `the least program of Effect with a scope, without any lock, takes ${lines.figure(least.micros)} µs`

/** The greatest first, without what is next to nothing. */
const shares = (parts: Parts): string =>
  owners
    .filter((owner) => parts[owner] >= sum(parts) / 50)
    .sort((a, b) => parts[b] - parts[a])
    .map((owner) => `${lines.ownerNames[owner]} ${lines.short(parts[owner])}`)
    .join(", ")

const profileOf = (profiles: ReadonlyArray<Profile>, storage: string, scenario: string) =>
  profiles.filter((_) => _.storage === storage && _.scenario === scenario)

const ofFibers =
  "the rest is processor time of this process: a scope, fibers that wait, and the deadline, the renewal and the queue that the bare driver has not"

/** What ours takes more of than the bare driver, by the profile. */
const above = (profiles: ReadonlyArray<Profile>, storage: string, scenario: string): string => {
  const [floor, ...others] = profileOf(profiles, storage.replace(/, full$/, ""), scenario)
  const ours = others.find(({ name }) => name === "StorageLock")
  if (floor === undefined || ours === undefined) return ofFibers
  const more = difference(ours.parts, floor.parts)
  return sum(more) <= 0 ? ofFibers : `by the profile, of ${lines.short(sum(more))} µs more: ${shares(more)}`
}

/** `least`: what Effect alone takes for as much. */
export const driver = (
  profiles: ReadonlyArray<Profile>,
  storage: string,
  scenario: string,
  least: Measured | undefined
): string => {
  const rest =
    above(profiles, storage, scenario) +
    (least === undefined ? "" : `; Effect alone, a scope whose parts wait, takes ${lines.figure(least.micros)} µs`)
  return storage === "Redis" || storage === "etcd"
    ? `the floor writes a value and deletes it, and ours keeps a record with a token that only grows; ${rest}`
    : rest
}

const cycles: Readonly<Record<string, string>> = {
  Cassandra: "Cassandra tells nobody of a change, so ours polls, as `retry` says",
  MongoDB: "mongo-java-server runs no update pipelines: six round trips in place of two",
  "MySQL or MariaDB":
    "the best of them takes a lock of the session and writes nothing, and the lock ends with its connection; ours keeps a record with a token that only grows, judged by the server's clock"
}
export const cycle = (storage: string): string =>
  cycles[storage] ??
  "theirs write a value and delete it; ours keeps a record with a token that only grows, judged by the server's clock, and the rest is processor time of fibers"

/** Of a hand-over, beside the bare driver. */
export const told =
  "after the same two messages the waiter is a fiber that goes on, takes its turn in its process, and makes a hold with a deadline and a renewal"

const handOffs: Readonly<Record<string, string>> = {
  PostgreSQL:
    "advisory-lock waits within the server and writes nothing: its lock has no lease and no token, and ends with its connection",
  Redis:
    "both are told of a release; ours writes more, in scripts, and every write is synced to disk before anybody is told",
  "MySQL or MariaDB":
    "both wait under GET_LOCK; ours is woken by it and then claims by a statement of its own, and its lock does not end with its connection",
  etcd: "both watch; ours then claims by a transaction, while etcd3 is granted the lock by its place in the queue",
  DynamoDB: "DynamoDB tells nobody of a change, so ours polls, as `retry` says",
  MongoDB: "mongo-java-server has no change stream that would be told: ours polls, as `retry` says"
}
export const handOff = (storage: string): string | undefined => handOffs[storage]

const asked: Readonly<Record<string, string>> = {
  "MySQL or MariaDB":
    "a release, the message by which it wakes who sleeps, the look of that one, and its claim: four at least; who polls seldom asks seldom, and waits longer",
  MongoDB: "who polls seldom asks seldom, and waits longer"
}
export const requests = (storage: string): string =>
  asked[storage] ??
  "who waits within the server asks once, and who polls asks less often than locks are freed: to be told of each release costs a request of those whose turn it may be"

/** Why one process has a lock more often than another. */
export const share = (storage: string): string =>
  storage === "SQLite"
    ? "who waits is told by a change of the file, and looks then: two that follow at once may be seen as one, and whoever misses one waits for longer"
    : storage === "MongoDB"
      ? "mongo-java-server has no change stream that would be told: ours polls, and who polls just then has it"
      : "which process is next is counted by hints, and a busy machine delays them"

const profiled = (
  profiles: ReadonlyArray<Profile>,
  storage: string,
  scenario: string,
  unit: string,
  what: string
): string => {
  const [found] = profileOf(profiles, storage, scenario)
  return found === undefined
    ? what
    : `${what}; by the profile, of ${lines.short(sum(found.parts))} ${unit}: ${shares(found.parts)}`
}

export const heap = (profiles: ReadonlyArray<Profile>, storage: string): string => {
  const what =
    "a scope of Effect with its table of finalizers, the ids, the hold with its deadline and renewal, and its queue"
  return profiled(
    profiles,
    storage,
    holding,
    "bytes",
    storage === "etcd" ? `${what}; the record that the next compare is made with` : what
  )
}

export const renewals = (profiles: ReadonlyArray<Profile>, storage: string): string =>
  profiled(
    profiles,
    storage,
    renewing,
    "µs of a renewal",
    "its request and its answer in the driver, the new deadline, and the timer for the next one"
  )
