/**
 * From one process to another: one holds the lock, the other waits for it. The time is from just before the release is issued, in the one, to the acquire's
 * return, in the other, both by `process.hrtime`, which is one clock for all processes of a machine.
 */
import * as Effect from "#effect/Effect"
import * as crews from "./crew.js"
import { type Failure, reasonOf } from "./names.js"
import { type Spread, spread } from "./statistics.js"
import { type Candidate, candidates, type Server, type StorageSubject } from "./subjects/Subject.js"

export interface HandOff {
  readonly storage: string
  readonly name: string
  readonly role: "floor" | "ours" | "peer"
  readonly millis: Spread
}

/** In milliseconds. */
const once = async (holder: crews.Worker, waiter: crews.Worker, key: string, holdMillis: number): Promise<number> => {
  const lockId = "hand-off"
  await holder.tell({ do: "acquire", key, lockId })
  const waiting = waiter.tell<string>({ do: "acquire", key, lockId })
  await new Promise((resolve) => setTimeout(resolve, holdMillis))
  const [released, acquired] = await Promise.all([holder.tell<string>({ do: "release", key }), waiting])
  await waiter.tell({ do: "release", key })
  const nanos = BigInt(acquired) - BigInt(released)
  // Had the waiter come first, the figure would mean nothing.
  if (nanos <= 0n) throw new Error("the lock was acquired before it was released")
  return Number(nanos) / 1e6
}

const warmUp = 2

/** All candidates in turn, round by round; one that fails takes no further part. */
export const measure = (
  subject: StorageSubject,
  server: Server,
  rounds: number,
  withPeers: boolean,
  progress: (text: string) => void,
  failed: (failure: Failure) => void
) =>
  Effect.scoped(
    Effect.gen(function* () {
      const taking = candidates(subject.ways).filter(
        ({ way }) => way.waits !== false && (withPeers || way.role !== "peer")
      )
      const places = yield* Effect.forEach(taking, () => server.fresh)
      const crew = yield* crews.make(2)
      const alive = new Map<string, Candidate>()
      const fail = (name: string) => (error: unknown) => {
        alive.delete(name)
        failed({ storage: subject.title, scenario: "hand-off", subject: name, reason: reasonOf(error) })
      }
      for (const [index, candidate] of taking.entries()) {
        progress(`${subject.title}: hand-off, opening ${candidate.name}`)
        const command = crews.opening(subject.name, candidate.name, candidate, places[index]!)
        yield* Effect.promise(async () => {
          try {
            for (const worker of crew) await worker.tell(command)
            alive.set(candidate.name, candidate)
          } catch (error) {
            fail(candidate.name)(error)
          }
        })
      }
      const taken = new Map<string, Array<number>>(taking.map(({ name }) => [name, []]))
      for (let round = -warmUp; round < rounds; round++) {
        for (const name of [...alive.keys()]) {
          const [holder, waiter] = round % 2 === 0 ? [crew[0]!, crew[1]!] : [crew[1]!, crew[0]!]
          yield* Effect.promise(() =>
            once(holder, waiter, name, 200 + 200 * Math.random()).then((millis) => {
              if (round >= 0) taken.get(name)!.push(millis)
            }, fail(name))
          )
          progress(`${subject.title}: hand-off between two processes, ${Math.max(0, round) + 1} of ${rounds}, ${name}`)
        }
      }
      yield* Effect.promise(() =>
        Promise.all(
          crew.flatMap((worker) =>
            taking.map(({ name }) => worker.tell({ do: "close", key: name }, 5_000).catch(() => {}))
          )
        )
      )
      return taking
        .filter(({ name }) => taken.get(name)!.length > 0 && alive.has(name))
        .map(({ name, way }): HandOff => ({
          storage: subject.title,
          name,
          role: way.role,
          millis: spread(taken.get(name)!)
        }))
    })
  )
