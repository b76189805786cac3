/** Requests to whichever node serves, each within its time. Of what a response means it knows nothing but that a gateway's is none of the server. */
import * as Effect from "#effect/Effect"
import type { StorageError } from "../../LockError.js"
import type * as direct from "../../common/direct.js"
import * as errors from "./errors.js"
import * as exchange from "./exchange.js"
import type { Reach, Source } from "./source.js"

export interface Call {
  readonly operation: string
  readonly request: exchange.Request
  readonly kind: exchange.Kind
  /** A repeat has the effect of one, and the same answer: it may go to another node although the first one may have done it. */
  readonly repeatable: boolean
}

export interface Client {
  /** Answers by a callback. */
  readonly ask: direct.Ask<Call, exchange.Response>
  readonly close: Effect.Effect<void>
}

/** Nobody stands behind whoever said so. */
const isElsewhere = (outcome: exchange.Outcome): boolean =>
  outcome._tag === "Failure" || (outcome.status >= 502 && outcome.status <= 504)

/** Who we are is not accepted. */
const isRefused = ({ refused = [401] }: errors.Names, outcome: exchange.Outcome): boolean =>
  outcome._tag === "Response" && refused.includes(outcome.status)

/** What has to be left of a call's time for another try with other options. With less, its first error says more. */
const worthwhile = 0.3

interface Result {
  readonly outcome: exchange.Outcome
  /** Some node may have done it. */
  readonly applied: errors.Applied
}

export const make = (names: errors.Names, source: Source): Client => {
  const active = new Set<() => void>()
  let closed = false

  /** One node after the other, beginning with the one that served last. */
  const attempt = (reach: Reach, call: Call, until: number, done: (result: Result) => void): void => {
    const { headers, targets, transport } = reach
    const request: exchange.Request = { ...call.request, headers: { ...headers, ...call.request.headers } }
    let applied: errors.Applied = "no"
    // A server may close a connection just when it is used again: that is no reason to give the node up.
    let again = call.repeatable ? 1 : 0
    let tried = 0

    const next = (): void => {
      const at = reach.turn
      const left = Math.max(1, until - performance.now())
      const share = left / Math.max(1, targets.length - tried)
      const end = (outcome: exchange.Outcome) => {
        active.delete(cancel)
        if (call.kind === "writes" && (outcome._tag === "Response" ? outcome.status >= 500 : outcome.sent === "maybe"))
          applied = "unknown"
        if (!isElsewhere(outcome) || closed) return done({ outcome, applied })
        const broken = outcome._tag === "Failure" && outcome.kind === "broken"
        const repeat = broken && again-- > 0
        if (!repeat) {
          tried++
          if (reach.turn === at) reach.turn = (at + 1) % targets.length
        }
        const harmless = (outcome._tag === "Failure" && outcome.sent === "no") || call.repeatable
        if (harmless && (repeat || tried < targets.length) && performance.now() < until) next()
        else done({ outcome, applied })
      }
      const stop = transport.send(targets[at]!, request, { connect: share, whole: call.repeatable ? share : left }, end)
      const cancel = () => {
        stop()
        end(exchange.failure("maybe", "broken"))
      }
      active.add(cancel)
    }
    next()
  }

  const answer = (
    call: Call,
    millis: number,
    { applied, outcome }: Result
  ): Effect.Effect<exchange.Response, StorageError> =>
    outcome._tag === "Response"
      ? Effect.succeed(applied === "no" ? outcome : { ...outcome, doubtful: true })
      : closed
        ? errors.closed(names, call.operation, call.kind === "reads" ? "no" : "unknown")
        : errors.unanswered(names, call.operation, outcome, millis, applied)

  /** As `attempt`, where the options have to be asked first. */
  const later = (call: Call, millis: number, until: number, reach: Effect.Effect<Reach, StorageError>) =>
    Effect.flatMap(bounded(call, millis, until, reach), (reach) =>
      Effect.callback<exchange.Response, StorageError>((resume) =>
        attempt(reach, call, until, (result) => settle(reach, call, millis, until, result, resume))
      )
    )

  const bounded = <A>(call: Call, millis: number, until: number, self: Effect.Effect<A, StorageError>) =>
    Effect.timeoutOrElse(self, {
      duration: Math.max(1, until - performance.now()),
      orElse: () => errors.unanswered(names, call.operation, exchange.failure("no", "silent"), millis, "no")
    })

  /** If who we are, or where we look, may be out of date, it is asked for again, and if it is something else, the call is tried once more. */
  const settle = (
    reach: Reach,
    call: Call,
    millis: number,
    until: number,
    result: Result,
    done: (answer: Effect.Effect<exchange.Response, StorageError>) => void
  ): void => {
    const { outcome } = result
    const stale = isRefused(names, outcome) || (outcome._tag === "Failure" && outcome.kind === "unreached")
    const first = answer(call, millis, result)
    if (!stale || closed || source.renew === undefined || result.applied === "unknown") return done(first)
    done(
      Effect.flatMap(bounded(call, millis, until, source.renew(call.operation, reach)), (fresh) =>
        fresh === undefined || until - performance.now() < worthwhile * millis
          ? first
          : Effect.callback<exchange.Response, StorageError>((resume) =>
              attempt(fresh, call, until, (result) => resume(answer(call, millis, result)))
            )
      )
    )
  }

  return {
    ask: (call, millis, done) => {
      if (closed) return done(errors.closed(names, call.operation, "no"))
      const until = performance.now() + millis
      const reach = source.now()
      if (reach === undefined) return done(later(call, millis, until, source.first(call.operation)))
      attempt(reach, call, until, (result) => settle(reach, call, millis, until, result, done))
    },
    close: Effect.sync(() => {
      closed = true
      for (const cancel of [...active]) cancel()
      source.close()
    })
  }
}
