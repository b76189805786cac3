/** One of the processes that lock against each other: see crew.ts. It opens what it is told, and does what it is told with it. */
import { closeSync, openSync, unlinkSync } from "node:fs"
import * as profiler from "./profiler.js"
import { table } from "./subjects/table.js"
import type { Candidate, Held, Locker, Place } from "./subjects/Subject.js"

export type Command =
  | {
      readonly do: "open"
      readonly key: string
      readonly storage: string
      readonly way: string
      readonly place: Place
      readonly settings: Candidate["settings"]
    }
  | { readonly do: "close"; readonly key: string }
  | { readonly do: "acquire" | "holdAndTell"; readonly key: string; readonly lockId: string }
  | { readonly do: "release"; readonly key: string }
  | { readonly do: "lossAt"; readonly key: string; readonly millis: number }
  | {
      readonly do: "contend"
      readonly key: string
      readonly lockId: string
      readonly guard: string
      readonly holdMillis: number
      readonly forMillis: number
    }
  | { readonly do: "holdMany" | "waitMany"; readonly key: string; readonly lockId: string; readonly count: number }
  | { readonly do: "profileMemory"; readonly key: string; readonly lockId: string; readonly count: number }
  | { readonly do: "profileTime"; readonly key: string; readonly millis: number }
  | { readonly do: "heap" }
  | { readonly do: "cpu" }

export interface Contended {
  readonly acquisitions: number
  readonly longestWaitMillis: number
  /** How often another one was in there at the same time. */
  readonly overlaps: number
}

interface Opened {
  readonly locker: Locker
  readonly held: Array<Held>
  lost: Promise<string>
}

const opened = new Map<string, Opened>()
/** Nanoseconds by the machine's monotonic clock, one for all processes. */
const now = (): string => process.hrtime.bigint().toString()
const sleep = (millis: number) => new Promise<void>((resolve) => setTimeout(resolve, millis))
const of = (key: string): Opened => {
  const found = opened.get(key)
  if (found === undefined) throw new Error(`${key} is not open here`)
  return found
}

const contend = async (
  { locker }: Opened,
  { forMillis, guard, holdMillis, lockId }: Extract<Command, { readonly do: "contend" }>
): Promise<Contended> => {
  const end = performance.now() + forMillis
  let acquisitions = 0
  let longestWaitMillis = 0
  let overlaps = 0
  while (performance.now() < end) {
    const asked = performance.now()
    const held = await locker.acquire(lockId)
    longestWaitMillis = Math.max(longestWaitMillis, performance.now() - asked)
    // The file exists while somebody is in there: made by one, at most.
    let mine = true
    try {
      closeSync(openSync(guard, "wx"))
    } catch {
      mine = false
      overlaps++
    }
    await sleep(holdMillis)
    if (mine) unlinkSync(guard)
    // One that came in after the end has waited, but the others have gone.
    if (performance.now() < end) acquisitions++
    await held.release()
  }
  return { acquisitions, longestWaitMillis, overlaps }
}

/** So many at a time. */
const width = 64
const holdMany = async ({ held, locker }: Opened, lockId: string, count: number): Promise<void> => {
  let made = 0
  const one = async () => {
    while (made < count) held.push(await locker.acquire(`${lockId}-${made++}`))
  }
  await Promise.all(Array.from({ length: Math.min(width, count) }, one))
}

const releaseAll = async ({ held }: Opened): Promise<void> => {
  const one = async () => {
    for (let next = held.pop(); next !== undefined; next = held.pop()) await next.release()
  }
  await Promise.all(Array.from({ length: width }, one))
}

const collect = async (): Promise<number> => {
  for (let i = 0; i < 3; i++) {
    ;(globalThis as { gc?: () => void }).gc?.()
    await sleep(20)
  }
  return process.memoryUsage().heapUsed
}

const obey = async (command: Command): Promise<unknown> => {
  switch (command.do) {
    case "open": {
      const way = table.find((_) => _.name === command.storage)?.ways.find((_) => _.name === command.way)
      if (way === undefined) throw new Error(`there is no ${command.way} on ${command.storage}`)
      opened.set(command.key, {
        locker: await way.open(command.place, command.settings),
        held: [],
        lost: new Promise(() => {})
      })
      return undefined
    }
    case "close": {
      const one = of(command.key)
      opened.delete(command.key)
      await releaseAll(one)
      await one.locker.close()
      return undefined
    }
    case "acquire": {
      const one = of(command.key)
      const held = await one.locker.acquire(command.lockId)
      const at = now()
      one.held.push(held)
      return at
    }
    case "release": {
      const at = now()
      await of(command.key).held.pop()!.release()
      return at
    }
    case "holdAndTell": {
      const one = of(command.key)
      let lost = (_: string) => {}
      one.lost = new Promise((resolve) => (lost = resolve))
      one.held.push(await one.locker.hold!(command.lockId, () => lost(now())))
      return undefined
    }
    case "lossAt":
      return Promise.race([of(command.key).lost, sleep(command.millis)])
    case "contend":
      return contend(of(command.key), command)
    case "holdMany":
      return holdMany(of(command.key), command.lockId, command.count)
    case "waitMany": {
      const one = of(command.key)
      // They wait until the one that holds it goes; nobody waits for them.
      for (let i = 0; i < command.count; i++)
        void one.locker.acquire(command.lockId).then(
          (held) => held.release(),
          () => {}
        )
      return sleep(500)
    }
    case "profileMemory":
      return profiler.memory(() => holdMany(of(command.key), command.lockId, command.count))
    case "profileTime":
      return profiler.time(() => sleep(command.millis))
    case "heap":
      return collect()
    case "cpu": {
      const { system, user } = process.cpuUsage()
      return (system + user) / 1000
    }
  }
}

const reason = (error: unknown): string => (error instanceof Error ? `${error.name}: ${error.message}` : String(error))

process.on("message", ({ command, id }: { readonly command: Command; readonly id: number }) => {
  obey(command).then(
    (result) => process.send?.({ id, result }),
    (error: unknown) => process.send?.({ id, failed: reason(error) })
  )
})
process.once("disconnect", () => process.exit(0))
// Its parent takes Ctrl-C, and disconnects.
process.on("SIGINT", () => {})
// A peer's, in a stall: it is reported by what it does or does not answer.
process.on("unhandledRejection", () => {})
process.send?.({ id: 0 })
