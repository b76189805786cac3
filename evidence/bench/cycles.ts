/** Acquire and release, against the others: through Promises, as programs use them all. And what the server is asked for it. */
import * as Effect from "#effect/Effect"
import { cycleAlone, cycleWide, type Failure, reasonOf, width } from "./names.js"
import { type Comparison, compare, type Contender, type Plan } from "./rounds.js"
import { leaseMillis, type Locker, type Place, type Server, type StorageSubject, type Way } from "./subjects/Subject.js"
import * as Proxy from "../../test/harness/proxy.js"

/** Of one acquire and its release of a new lock, on a connection that is open. */
export interface Requests {
  readonly storage: string
  readonly name: string
  readonly role: "floor" | "ours" | "peer"
  /** By the server's own count. */
  readonly statements: number | undefined
  /** On the wire. */
  readonly roundTrips: number | undefined
}

export interface Opened {
  readonly way: Way
  readonly locker: Locker
}

let made = 0
const freshId = (): string => `cycle-${(made++).toString(36).padStart(8, "0")}`

const cycle = async (locker: Locker): Promise<void> => {
  if (locker.cycle !== undefined) return void (await locker.cycle(freshId()))
  const held = await locker.acquire(freshId())
  await held.release()
}

export const contender = ({ locker, way }: Opened, concurrent: boolean): Contender => {
  const loop = async (operations: number) => {
    for (let i = 0; i < operations; i++) await cycle(locker)
  }
  return {
    name: way.name,
    run: (operations) =>
      within(
        concurrent
          ? Promise.all(Array.from({ length: width }, () => loop(operations / width))).then(() => {})
          : loop(operations),
        60
      )
  }
}

/** Who never answers is not waited for. */
const within = async <A>(promise: Promise<A>, seconds: number): Promise<A> => {
  let timer: NodeJS.Timeout | undefined
  try {
    return await Promise.race([
      promise,
      new Promise<never>((_, reject) => {
        timer = setTimeout(() => reject(new Error(`no end within ${seconds} s`)), seconds * 1000)
      })
    ])
  } finally {
    clearTimeout(timer)
  }
}

const open = (way: Way, place: Place) =>
  Effect.acquireRelease(
    Effect.tryPromise({ try: () => within(way.open(place, { leaseMillis }), 30), catch: (error) => error }),
    (locker) => Effect.promise(() => within(locker.close(), 10).catch(() => {}))
  ).pipe(Effect.map((locker): Opened => ({ way, locker })))

const taking = (subject: StorageSubject, withPeers: boolean) =>
  subject.ways.filter((way) => way.variant !== true && (withPeers || way.role !== "peer"))

/** Each at a place of its own, but for those that cannot be opened. */
export const openAll = (
  subject: StorageSubject,
  server: Server,
  withPeers: boolean,
  failed: (failure: Failure) => void
) =>
  Effect.gen(function* () {
    const opened: Array<Opened> = []
    for (const way of taking(subject, withPeers)) {
      const place = yield* server.fresh
      yield* Effect.matchEffect(open(way, place), {
        onSuccess: (one) => Effect.sync(() => opened.push(one)),
        onFailure: (error) =>
          Effect.sync(() =>
            failed({ storage: subject.title, scenario: "cycle", subject: way.name, reason: reasonOf(error) })
          )
      })
    }
    return opened
  })

export const measure = (
  subject: StorageSubject,
  server: Server,
  plan: Plan,
  withPeers: boolean,
  progress: (text: string) => void,
  finished: (comparison: Comparison) => void,
  failed: (failure: Failure) => void
) =>
  Effect.scoped(
    Effect.gen(function* () {
      const opened = yield* openAll(subject, server, withPeers, failed)
      if (opened[0]?.way.role !== "floor") return []
      const comparisons: Array<Comparison> = []
      for (const concurrent of [false, true]) {
        const contenders = opened
          .filter(({ way }) => !concurrent || way.many !== false)
          .map((one) => contender(one, concurrent))
        const scenario = concurrent ? cycleWide : cycleAlone
        const what = { storage: subject.title, scenario, ...(concurrent ? { width } : {}) }
        const comparison = yield* Effect.tryPromise({
          try: () =>
            compare(what, contenders, plan, progress, (name, error) =>
              failed({ storage: subject.title, scenario, subject: name, reason: reasonOf(error) })
            ),
          catch: (error) => error
        })
        comparisons.push(comparison)
        finished(comparison)
      }
      return comparisons
    })
  )

const through = (place: Place, proxy: Proxy.Proxy): Place => ({ ...place, url: proxy.url(place.url) })

export const requests = (
  subject: StorageSubject,
  server: Server,
  times: number,
  withPeers: boolean,
  progress: (text: string) => void,
  failed: (failure: Failure) => void
) =>
  Effect.gen(function* () {
    const { wire, work } = server
    if (wire === undefined && work === undefined) return []
    const found: Array<Requests> = []
    for (const way of taking(subject, withPeers)) {
      progress(`${subject.title}: requests of ${way.name}`)
      const one = Effect.scoped(
        Effect.gen(function* () {
          const place = yield* server.fresh
          const proxy = wire === undefined ? undefined : yield* Proxy.make(wire, { protocol: wire.protocol })
          const { locker } = yield* open(way, proxy === undefined ? place : through(place, proxy))
          const cycles = (count: number) =>
            Effect.tryPromise({
              try: async () => {
                for (let i = 0; i < count; i++) await within(cycle(locker), 10)
              },
              catch: (error) => error
            })
          yield* cycles(8)
          const before = work === undefined ? undefined : yield* work(place)
          if (proxy !== undefined) yield* proxy.resetRoundTrips
          yield* cycles(times)
          const roundTrips = proxy?.roundTrips()
          const after = work === undefined ? undefined : yield* work(place)
          found.push({
            storage: subject.title,
            name: way.name,
            role: way.role,
            statements: before && after && (after.requests - before.requests) / times,
            roundTrips: roundTrips === undefined ? undefined : roundTrips / times
          })
        })
      )
      yield* Effect.catchCause(one, (cause) =>
        Effect.sync(() =>
          failed({ storage: subject.title, scenario: "requests", subject: way.name, reason: reasonOf(String(cause)) })
        )
      )
    }
    return found
  })
