/** Our own connection to one Redis: made, told its state, and made again when it is lost. */
import * as Effect from "#effect/Effect"
import * as fibers from "#effect/fibers"
import * as errors from "./errors.js"
import * as Session from "./session.js"
import type { Ask } from "./target.js"
import type { Waiter, Wire } from "./wire.js"

export interface LinkOptions {
  /** Where the next connection goes, and with which credentials. */
  readonly ask: Ask
  /** How long an attempt to connect may take, in milliseconds. */
  readonly millis: number
}

/**
 * `Idle`: until somebody needs a connection. `Opening`: asking, connecting or being confirmed; `stop` gives up. `Pausing`: before the next attempt.
 */
type State =
  | { readonly _tag: "Idle" }
  | { readonly _tag: "Opening"; readonly stop: () => void; readonly said: () => unknown }
  | { readonly _tag: "Open"; readonly session: Session.Session }
  | { readonly _tag: "Pausing"; readonly timer: ReturnType<typeof setTimeout> }
  | { readonly _tag: "Closed" }

/** Quickly at first, and never so slowly that a short lease would end meanwhile for that alone. */
const pauseAfter = (failures: number): number =>
  Math.min(1_000, 10 * 2 ** Math.min(failures, 10)) * (0.5 + Math.random() / 2)

const isFinal = (error: unknown): boolean =>
  !errors.fromDriver(error, { operation: "connect", phase: "connecting", writesOnce: true }).isRetryable

/**
 * One connection at a time, and after it the next, for as long as the layer lives: whatever ends one, the driver's own rules for giving up included. Each is made of a client of its own, so that none
 * takes over what another was told.
 */
export const make = ({ ask, millis }: LinkOptions): Effect.Effect<Wire> =>
  Effect.map(fibers.run, (run) => {
    const waiting = new Set<Waiter>()
    let state: State = { _tag: "Idle" }
    let said: unknown
    let lastReply = Number.NEGATIVE_INFINITY
    /** Attempts without an answer to an operation since. */
    let failures = 0

    const each = (act: (waiter: Waiter) => void) => {
      const all = Array.from(waiting)
      waiting.clear()
      all.forEach(act)
    }

    const pause = (goOn: boolean) => {
      failures++
      state = {
        _tag: "Pausing",
        timer: setTimeout(() => {
          if (goOn || waiting.size > 0) open()
          else state = { _tag: "Idle" }
        }, pauseAfter(failures))
      }
    }

    const failed = (error: unknown) => {
      if (state._tag !== "Opening") return
      said = error
      // Before those who wait are told: what they do next waits for the next attempt. What was refused for good is tried again when somebody asks.
      pause(!isFinal(error))
      each(({ fail }) => fail(error))
    }

    const lost = (session: Session.Session, error: unknown) => {
      if (state._tag !== "Open" || state.session !== session) return
      said = error
      pause(true)
    }

    const connect = (target: Parameters<typeof Session.open>[0], left: number) => {
      const session: Session.Session = Session.open(target, left, {
        ready: () => {
          if (state._tag !== "Opening") return
          state = { _tag: "Open", session }
          each(({ go }) => go(session.redis))
        },
        over: (error) => (state._tag === "Opening" ? failed(error) : lost(session, error))
      })
      state = { _tag: "Opening", stop: () => void session.close(), said: session.said }
    }

    const open = () => {
      const begun = performance.now()
      let over = false
      let cancel = () => {}
      const stop = () => {
        over = true
        clearTimeout(timer)
        cancel()
      }
      const timer = setTimeout(() => {
        stop()
        failed(
          errors.connection(
            "connect",
            `what was asked for a new connection did not come within ${Math.round(millis)} ms`
          )
        )
      }, millis)
      state = { _tag: "Opening", stop, said: () => undefined }
      cancel = run.callback(Effect.result(ask), (exit) => {
        if (over) return
        over = true
        clearTimeout(timer)
        if (exit._tag === "Failure")
          return failed(errors.connection("connect", "what was asked for a new connection failed"))
        if (exit.value._tag === "Failure") return failed(exit.value.failure)
        try {
          connect(exit.value.success, Math.max(1, millis - (performance.now() - begun)))
        } catch (error) {
          failed(error)
        }
      })
    }

    const leave = (session: Session.Session, why: unknown) => {
      lost(session, why)
      void session.close()
    }

    return {
      cluster: undefined,
      ready: () =>
        state._tag === "Open" && state.session.redis.status === "ready" && state.session.redis.stream.writable
          ? state.session.redis
          : undefined,
      wait: (waiter) => {
        waiting.add(waiter)
        if (state._tag === "Idle") open()
      },
      forget: (waiter) => void waiting.delete(waiter),
      heard: () => {
        lastReply = performance.now()
        failures = 0
        said = undefined
      },
      suspect: (since) => {
        if (state._tag === "Open" && lastReply < since) leave(state.session, new Error("the server fell silent"))
      },
      leave: (client, why) => {
        lastReply = performance.now()
        if (state._tag === "Open" && state.session.redis === client) leave(state.session, why)
        return true
      },
      said: () =>
        said ?? (state._tag === "Open" ? state.session.said() : state._tag === "Opening" ? state.said() : undefined),
      isClosed: () => state._tag === "Closed",
      close: Effect.suspend(() => {
        const before = state
        state = { _tag: "Closed" }
        if (before._tag === "Pausing") clearTimeout(before.timer)
        if (before._tag === "Opening") before.stop()
        each(({ fail }) => fail(said))
        return before._tag === "Open" ? Effect.promise(before.session.close) : Effect.void
      })
    }
  })
