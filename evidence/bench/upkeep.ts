/** What holds cost while nothing happens: renewals per interval, and memory. */
import * as Effect from "#effect/Effect"
import * as crews from "./crew.js"
import { type Failure, reasonOf } from "./names.js"
import { type Spread, spread } from "./statistics.js"
import { type Candidate, candidates, leaseMillis, type Server, type StorageSubject } from "./subjects/Subject.js"

/** Of one interval, in one process of ours. */
export interface Refresh {
  readonly storage: string
  readonly holds: number
  /** `undefined`: nobody counts. */
  readonly statements: Spread | undefined
  readonly cpuMillis: Spread
  /** By the server's own account. */
  readonly serverMillis: Spread | undefined
}

export interface Memory {
  readonly storage: string
  readonly name: string
  readonly bytesPerHold: number
  /** Of ours alone. */
  readonly bytesPerWaiter: number | undefined
}

/** Long enough for the renewals of ten thousand holds to be spread over it. */
export const refreshMillis = 2_000
const intervals = 5
export const sizes = [1, 1_000, 10_000]

const sleep = (millis: number) => new Promise<void>((resolve) => setTimeout(resolve, millis))

const refresh = (subject: StorageSubject, server: Server, candidate: Candidate, holds: number, quick: boolean) =>
  Effect.scoped(
    Effect.gen(function* () {
      const place = yield* server.fresh
      const [worker] = yield* crews.make(1)
      const { work } = server
      return yield* Effect.tryPromise({
        try: () =>
          crews.withOpen(
            [worker!],
            crews.opening(subject.name, candidate.name, candidate, place),
            async (): Promise<Refresh> => {
              const { name: key } = candidate
              await worker!.tell({ do: "holdMany", key, lockId: "held", count: holds }, 120_000)
              await sleep(refreshMillis)
              const sample = async () => ({
                cpu: await worker!.tell<number>({ do: "cpu" }),
                work: work === undefined ? undefined : await Effect.runPromise(work(place))
              })
              const samples = [await sample()]
              for (let interval = 0; interval < (quick ? 1 : intervals); interval++) {
                await sleep(refreshMillis)
                samples.push(await sample())
              }
              const per = (of: (_: (typeof samples)[number]) => number | undefined): Spread | undefined => {
                const values = samples.map(of)
                const deltas = values.slice(1).map((value, i) => (value ?? Number.NaN) - (values[i] ?? Number.NaN))
                return deltas.some(Number.isNaN) ? undefined : spread(deltas)
              }
              return {
                storage: subject.title,
                holds,
                statements: per((_) => _.work?.requests),
                cpuMillis: per((_) => _.cpu)!,
                serverMillis: per((_) => _.work?.millis)
              }
            }
          ),
        catch: (error) => error
      })
    })
  )

/** Ours, with each hold renewed once in an interval. */
export const renewedOften = (subject: StorageSubject): Candidate => {
  const way = subject.ways.find(({ role }) => role === "ours")!
  return { name: way.name, way, settings: { leaseMillis: 3 * refreshMillis, refreshMillis } }
}

export const measureRefresh = (
  subject: StorageSubject,
  server: Server,
  quick: boolean,
  progress: (text: string) => void,
  failed: (failure: Failure) => void
) =>
  Effect.gen(function* () {
    const candidate = renewedOften(subject)
    const found: Array<Refresh> = []
    for (const holds of quick ? sizes.slice(0, 2) : sizes) {
      progress(`${subject.title}: renewals of ${holds} holds`)
      yield* Effect.match(refresh(subject, server, candidate, holds, quick), {
        onSuccess: (one) => void found.push(one),
        onFailure: (error) =>
          failed({
            storage: subject.title,
            scenario: "refresh",
            subject: `${candidate.name}, ${holds} holds`,
            reason: reasonOf(error)
          })
      })
    }
    return found
  })

const mostWaiters = 2_000

const memory = (subject: StorageSubject, server: Server, candidate: Candidate, count: number) =>
  Effect.scoped(
    Effect.gen(function* () {
      const place = yield* server.fresh
      const [worker, other] = yield* crews.make(2)
      const key = candidate.name
      const command = crews.opening(subject.name, key, candidate, place)
      const waiters = Math.min(count, mostWaiters)
      return yield* Effect.tryPromise({
        try: () =>
          crews.withOpen([worker!], command, async (): Promise<Memory> => {
            const heap = () => worker!.tell<number>({ do: "heap" })
            // Code that is compiled, and pools that grow, are nobody's hold.
            await worker!.tell({ do: "holdMany", key, lockId: "warm", count }, 120_000)
            const before = await heap()
            await worker!.tell({ do: "holdMany", key, lockId: "held", count }, 120_000)
            const bytesPerHold = ((await heap()) - before) / count
            if (candidate.way.role !== "ours")
              return { storage: subject.title, name: key, bytesPerHold, bytesPerWaiter: undefined }
            return await crews.withOpen([other!], command, async () => {
              await other!.tell({ do: "acquire", key, lockId: "waited for" })
              await worker!.tell({ do: "waitMany", key, lockId: "waited for", count: 64 })
              const held = await heap()
              await worker!.tell({ do: "waitMany", key, lockId: "waited for", count: waiters }, 60_000)
              const bytesPerWaiter = ((await heap()) - held) / waiters
              return { storage: subject.title, name: key, bytesPerHold, bytesPerWaiter }
            })
          }),
        catch: (error) => error
      })
    })
  )

export const measureMemory = (
  subject: StorageSubject,
  server: Server,
  withPeers: boolean,
  quick: boolean,
  progress: (text: string) => void,
  failed: (failure: Failure) => void
) =>
  Effect.gen(function* () {
    const found: Array<Memory> = []
    const taking = candidates(subject.ways).filter(
      ({ settings, way }) =>
        way.role !== "floor" &&
        way.many !== false &&
        way.variant !== true &&
        settings.pollMillis === undefined &&
        settings.leaseMillis === leaseMillis &&
        (withPeers || way.role !== "peer")
    )
    for (const candidate of taking) {
      progress(`${subject.title}: memory, ${candidate.name}`)
      yield* Effect.match(memory(subject, server, candidate, quick ? 200 : 10_000), {
        onSuccess: (one) => void found.push(one),
        onFailure: (error) =>
          failed({ storage: subject.title, scenario: "memory", subject: candidate.name, reason: reasonOf(error) })
      })
    }
    return found
  })
