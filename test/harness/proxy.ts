/**
 * A TCP proxy that does to connections what networks do: cuts, hangs, delays, and loses replies.
 */
import * as Effect from "#effect/Effect"
import type * as Scope from "#effect/Scope"
import * as Net from "node:net"
import * as Frames from "./frames.js"

export interface Proxy {
  readonly port: number
  /** The same URL, through the proxy. */
  readonly url: (of: string) => string
  /** Connections that are open now. */
  readonly connections: () => number
  /** Connections that were ever accepted. */
  readonly accepted: () => number
  /** Ends every connection by a reset. New ones are welcome. */
  readonly cut: Effect.Effect<void>
  /** Resets every new connection. Open ones go on. */
  readonly refuse: (on: boolean) => Effect.Effect<void>
  /** Nothing moves in either direction, and every connection stays open. What was sent meanwhile arrives afterwards. */
  readonly hang: (on: boolean) => Effect.Effect<void>
  /**
   * Requests arrive, replies do not. A connection that lost a reply this way gets none ever again, as on a real network: it stays silent until
   * it is closed or cut.
   */
  readonly swallowReplies: (on: boolean) => Effect.Effect<void>
  /** Every connection of now is dead, and neither side is told: nothing passes in either direction ever again. New ones are welcome. */
  readonly halfOpen: Effect.Effect<void>
  /** The next request is forwarded; when the server answers it, the answer is dropped and the connection cut: applied, and nobody told. */
  readonly dropNextReply: Effect.Effect<void>
  /** How many replies `dropNextReply` has dropped. */
  readonly dropped: () => number
  /** Holds back what clients send by so much, so that each round trip takes that much longer. */
  readonly delay: (millis: number) => Effect.Effect<void>
  /** Requests with a reply of their own, since the last reset: Sync and Query messages of the PostgreSQL protocol, else turns of the client. */
  readonly roundTrips: () => number
  readonly resetRoundTrips: Effect.Effect<void>
}

export interface Options {
  /** How requests are told apart. Default: `postgres`. */
  readonly protocol?: "postgres" | "bytes" | (() => Watch) | undefined
  /** Where it listens. Default: a port that is free, on 127.0.0.1. */
  readonly at?: { readonly host: string; readonly port: number } | undefined
}

interface Link {
  readonly client: Net.Socket
  readonly server: Net.Socket
  /** Its next reply is to be dropped, and the connection cut. */
  doomed: boolean
  silent: boolean
  dead: boolean
  /** Passes on what is due of what the client sent. */
  pump: () => void
}

/** How requests and the ends of replies are told apart on one connection. */
export interface Watch {
  /** How many requests these bytes of the client complete. */
  readonly asked: (chunk: Buffer) => number
  /** Whether a reply is complete with these bytes of the server. */
  readonly answered: (chunk: Buffer) => boolean
}

const postgres = (): Watch => ({ asked: Frames.requests(), answered: Frames.replyEnds() })

/** Any bytes of the client after some of the server are a new request. */
const bytes = (): Watch => {
  let turn = true
  return {
    asked: () => {
      const requests = turn ? 1 : 0
      turn = false
      return requests
    },
    answered: () => (turn = true)
  }
}

export const make = (
  target: { readonly host: string; readonly port: number },
  options: Options = {}
): Effect.Effect<Proxy, never, Scope.Scope> =>
  Effect.gen(function* () {
    const links = new Set<Link>()
    const state = { refusing: false, hanging: false, swallowing: false, armed: false, delay: 0 }
    const count = { accepted: 0, dropped: 0, roundTrips: 0 }

    const reset = (link: Link) => {
      links.delete(link)
      link.client.resetAndDestroy()
      link.server.destroy()
    }
    const flow = (link: Link) => {
      for (const socket of [link.client, link.server])
        if (state.hanging) socket.pause()
        else socket.resume()
      link.pump()
    }

    const accept = (client: Net.Socket) => {
      client.on("error", () => {})
      if (state.refusing) return client.resetAndDestroy()
      count.accepted++
      const server = Net.connect(target)
      const watch = (
        typeof options.protocol === "function" ? options.protocol : options.protocol === "bytes" ? bytes : postgres
      )()

      // One queue, so that order is kept also when the delay becomes shorter.
      const queue: Array<{ readonly due: number; readonly act: () => void }> = []
      const pump = () => {
        while (!state.hanging && queue[0] !== undefined) {
          const wait = queue[0].due - performance.now()
          if (wait > 0) return void setTimeout(pump, wait)
          queue.shift()!.act()
        }
      }
      const later = (act: () => void) => {
        queue.push({ due: performance.now() + state.delay, act })
        if (queue.length === 1) pump()
      }
      const link: Link = { client, server, doomed: false, silent: false, dead: false, pump }
      links.add(link)
      client.setNoDelay(true)
      server.setNoDelay(true)

      client.on("data", (chunk: Buffer) => {
        const requests = watch.asked(chunk)
        count.roundTrips += requests
        // Its reply may come when nothing is swallowed any more.
        if (state.swallowing && requests > 0) link.silent = true
        if (state.armed && requests > 0) {
          state.armed = false
          link.doomed = true
        }
        later(() => !link.dead && server.writable && server.write(chunk))
      })
      server.on("data", (chunk: Buffer) => {
        const complete = watch.answered(chunk)
        if (link.doomed) {
          // Not before the end: a server that cannot send the rest might undo what it did.
          if (complete) {
            count.dropped++
            reset(link)
          }
          return
        }
        if (state.swallowing || link.dead) link.silent = true
        if (!link.silent) client.write(chunk)
      })
      const closed = () => {
        if (client.destroyed && server.destroyed) links.delete(link)
      }
      client.on("end", () => later(() => server.end()))
      client.on("close", () => {
        later(() => server.destroySoon())
        closed()
      })
      server.on("error", () => (link.dead ? undefined : reset(link)))
      server.on("end", () => (link.silent ? undefined : client.end()))
      server.on("close", () => {
        if (!link.silent) client.destroySoon()
        closed()
      })
      flow(link)
    }

    const listener = yield* Effect.acquireRelease(
      Effect.callback<Net.Server>((resume) => {
        const listener = Net.createServer({ allowHalfOpen: true }, accept)
        listener.listen(options.at?.port ?? 0, options.at?.host ?? "127.0.0.1", () => resume(Effect.succeed(listener)))
      }),
      (listener) =>
        Effect.callback<void>((resume) => {
          listener.close(() => resume(Effect.void))
          links.forEach(reset)
        })
    )
    const { port } = listener.address() as Net.AddressInfo
    const set = (change: Partial<typeof state>) =>
      Effect.sync(() => {
        Object.assign(state, change)
        if (change.hanging !== undefined) links.forEach(flow)
      })

    return {
      port,
      url: (of) => {
        const url = new URL(of)
        url.hostname = "127.0.0.1"
        url.port = String(port)
        return url.toString()
      },
      connections: () => links.size,
      accepted: () => count.accepted,
      cut: Effect.sync(() => links.forEach(reset)),
      refuse: (refusing) => set({ refusing }),
      hang: (hanging) => set({ hanging }),
      halfOpen: Effect.sync(() => links.forEach((link) => (link.dead = link.silent = true))),
      swallowReplies: (swallowing) => set({ swallowing }),
      dropNextReply: set({ armed: true }),
      dropped: () => count.dropped,
      delay: (delay) => set({ delay }),
      roundTrips: () => count.roundTrips,
      resetRoundTrips: Effect.sync(() => {
        count.roundTrips = 0
      })
    }
  })
