/** The way to a Redis, as connections see it. */
import type * as Effect from "#effect/Effect"
import type { Cluster, Redis } from "ioredis"

export type Client = Redis | Cluster

/** Who needs a connection, and has none: not the driver's own queue, which would send operations after they were given up. */
export interface Waiter {
  readonly go: (client: Client) => void
  readonly fail: (error: unknown) => void
}

/** The way to the server, through all its connections: our own (`link.ts`), or the program's Cluster (`shared.ts`). */
export interface Wire {
  /** The program's, if it is one. */
  readonly cluster: Cluster | undefined
  /** What may be used now. */
  readonly ready: () => Client | undefined
  /** Calls `go` as soon as there is a connection, or `fail` when an attempt to make one has failed. */
  readonly wait: (waiter: Waiter) => void
  readonly forget: (waiter: Waiter) => void
  /** Something was heard of the server. */
  readonly heard: () => void
  /** Nothing was heard since: the connection may be dead in silence, and everything behind would wait for it. */
  readonly suspect: (since: number) => void
  /** Its server is not the one to ask: whether there will be another connection. */
  readonly leave: (client: Client, why: unknown) => boolean
  /** What was said since there was last a connection. */
  readonly said: () => unknown
  /** For good. */
  readonly isClosed: () => boolean
  readonly close: Effect.Effect<void>
}
