/**
 * From one process to another: one holds the lock, the other waits for it. The time is from just before the release is issued, in the one, to the acquire's
 * return, in the other, both by `process.hrtime`, which is one clock for all processes of a machine.
 */
import * as Effect from "effect/Effect"
import { type ChildProcess, fork } from "node:child_process"
import { once } from "node:events"
import { fileURLToPath } from "node:url"
import { type Spread, spread } from "./statistics.js"

export type Way =
  | { readonly kind: "sqlite"; readonly filename: string }
  | { readonly kind: "postgres"; readonly url: string; readonly notify: boolean }
  /** The floor: LISTEN, NOTIFY and the same statements on `pg`. */
  | { readonly kind: "pg"; readonly url: string }

export type Command = { readonly acquire: string } | { readonly release: true }

/** Nanoseconds by the machine's monotonic clock. */
export type Reply =
  | { readonly ready: true }
  | { readonly acquired: string; readonly token: number }
  | { readonly releaseIssued: string }
  | { readonly failed: string }

export interface HandOff {
  readonly name: string
  readonly millis: Spread
}

const workerFile = fileURLToPath(new URL("./handOffWorker.js", import.meta.url))

class Worker {
  private readonly replies: Array<Reply> = []
  private wake = () => {}

  private constructor(readonly child: ChildProcess) {
    child.on("message", (reply) => {
      this.replies.push(reply as Reply)
      this.wake()
    })
    child.on("exit", (code) => {
      this.replies.push({ failed: `the process ended with ${code}` })
      this.wake()
    })
  }

  static async start(way: Way): Promise<Worker> {
    const worker = new Worker(fork(workerFile, [JSON.stringify(way)], { execArgv: [] }))
    await worker.next()
    return worker
  }

  send(command: Command): void {
    this.child.send(command)
  }

  async next(): Promise<Reply> {
    while (this.replies.length === 0) await new Promise<void>((resolve) => (this.wake = resolve))
    const reply = this.replies.shift()!
    if ("failed" in reply) throw new Error(reply.failed)
    return reply
  }

  /** The worker ends by itself when nobody speaks to it any more. */
  async stop(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return
    const ended = once(this.child, "exit")
    if (this.child.connected) this.child.disconnect()
    const late = setTimeout(() => this.child.kill("SIGKILL"), 5_000)
    await ended
    clearTimeout(late)
  }
}

const lockId = "hand-off"

/** Two processes that give one lock to and fro. */
const pair = async (way: Way) => {
  const workers = await Promise.all([Worker.start(way), Worker.start(way)])
  let [holder, waiter] = workers
  holder.send({ acquire: lockId })
  const first = await holder.next()
  let token = "acquired" in first ? first.token : Number.NaN
  return {
    /** In milliseconds. */
    once: async (holdMillis: number): Promise<number> => {
      waiter.send({ acquire: lockId })
      await new Promise((resolve) => setTimeout(resolve, holdMillis))
      holder.send({ release: true })
      const [released, acquired] = await Promise.all([holder.next(), waiter.next()])
      if (!("releaseIssued" in released && "acquired" in acquired)) throw new Error("the workers are out of step")
      const nanos = BigInt(acquired.acquired) - BigInt(released.releaseIssued)
      // Had the waiter come first, or without the other's release, the figure would mean nothing.
      if (nanos <= 0n || !(acquired.token > token)) throw new Error("the lock was acquired before it was released")
      token = acquired.token
      ;[holder, waiter] = [waiter, holder]
      return Number(nanos) / 1e6
    },
    stop: () => Promise.all(workers.map((worker) => worker.stop()))
  }
}

export interface Candidate {
  readonly name: string
  readonly way: Way
}

const warmUp = 2

/** All candidates in turn, round by round. */
export const measure = (candidates: ReadonlyArray<Candidate>, rounds: number, progress: (text: string) => void) =>
  Effect.gen(function*() {
    const pairs = yield* Effect.forEach(candidates, ({ way }) =>
      Effect.acquireRelease(
        Effect.promise(() => pair(way)),
        (pair) => Effect.promise(() => pair.stop())
      ))
    const taken = candidates.map((): Array<number> => [])
    for (let round = -warmUp; round < rounds; round++) {
      for (const [index, pair] of pairs.entries()) {
        const millis = yield* Effect.promise(() => pair.once(200 + 200 * Math.random()))
        if (round >= 0) taken[index]!.push(millis)
      }
      if (round >= 0) progress(`hand-off between two processes, ${round + 1} of ${rounds}`)
    }
    return candidates.map(({ name }, index): HandOff => ({ name, millis: spread(taken[index]!) }))
  })
