/** The program's own Cluster as the way to the servers. */
import * as Effect from "#effect/Effect"
import type { Cluster } from "ioredis"
import type { Waiter, Wire } from "./wire.js"

const ignore = () => {}

/** The program ends it, as opposed to a driver that has given up by its `clusterRetryStrategy`. */
const isEndedByProgram = (cluster: Cluster): boolean =>
  cluster.status === "end" && (cluster as unknown as { readonly manuallyClosing?: boolean }).manuallyClosing === true

/** The program's Cluster, which makes and authenticates the connections to its nodes itself, and stays open. */
export const make = (cluster: Cluster): Wire => {
  const waiting = new Set<Waiter>()
  let closing = false
  let said: unknown

  const each = (act: (waiter: Waiter) => void) => {
    const all = Array.from(waiting)
    waiting.clear()
    all.forEach(act)
  }
  const failAll = () => each(({ fail }) => fail(said ?? new Error("the connection was closed")))
  const handlers: Record<string, (error?: unknown) => void> = {
    ready: () => {
      said = undefined
      each(({ go }) => go(cluster))
    },
    // Always heard: one that nobody hears is printed.
    error: (error) => void (said = error),
    "node error": (error) => void (said = error),
    close: failAll,
    end: failAll
  }
  for (const [event, handler] of Object.entries(handlers)) cluster.on(event, handler)

  return {
    cluster,
    ready: () => (cluster.status === "ready" ? cluster : undefined),
    wait: (waiter) => {
      waiting.add(waiter)
      if (cluster.status === "wait" || cluster.status === "end") cluster.connect().catch(ignore)
    },
    forget: (waiter) => void waiting.delete(waiter),
    heard: () => {
      said = undefined
    },
    suspect: ignore,
    leave: () => false,
    said: () => said,
    isClosed: () => closing || isEndedByProgram(cluster),
    close: Effect.sync(() => {
      closing = true
      failAll()
      for (const [event, handler] of Object.entries(handlers)) cluster.off(event, handler)
    })
  }
}
