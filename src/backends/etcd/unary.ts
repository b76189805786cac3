/** One call with one answer, from its request to its end. */
import type * as Grpc from "@grpc/grpc-js"
import * as Effect from "#effect/Effect"
import type { Endpoint } from "./channels.js"
import * as errors from "./errors.js"
import type { Header, Method } from "./protocol.js"

/** No answer in time. */
export class Late {}

/** An answer that is none of etcd's. */
export class Odd {}

/** An answer of another cluster. */
export class Foreign {}

export interface Options {
  /** What the end of the layer cancels. */
  readonly active: Set<() => void>
  readonly client: (endpoint: Endpoint) => Grpc.Client
  readonly isForeign: (header: Partial<Header["header"]> | null | undefined) => boolean
}

export interface Unary {
  /** `until` is a moment of `performance.now()`. Fails with one of the above, or with what the driver says. */
  readonly once: <I, O>(
    endpoint: Endpoint,
    method: Method<I, O>,
    request: I,
    meta: Grpc.Metadata,
    until: number
  ) => Effect.Effect<O, unknown>
}

export const make = ({ active, client, isForeign }: Options): Unary => {
  const judged = <I, O>(
    method: Method<I, O>,
    request: I,
    error: unknown,
    value: O | undefined
  ): Effect.Effect<O, unknown> => {
    if (error !== null) return Effect.fail(error)
    try {
      if (!method.isRight(value!, request)) return Effect.fail(new Odd())
      return isForeign((value as Partial<Header>).header) ? Effect.fail(new Foreign()) : Effect.succeed(value!)
    } catch {
      return Effect.fail(new Odd())
    }
  }

  return {
    once: (endpoint, method, request, meta, until) =>
      Effect.callback((resume) => {
        let call: Grpc.ClientUnaryCall | undefined
        let over = false
        const stop = () => {
          over = true
          clearTimeout(timer)
          active.delete(cancel)
          call?.cancel()
        }
        const cancel = () => {
          resume(Effect.fail(new Late()))
          stop()
        }
        const timer = setTimeout(cancel, Math.max(0, until - performance.now()))
        active.add(cancel)
        try {
          call = client(endpoint).makeUnaryRequest(
            method.path,
            method.serialize,
            method.deserialize,
            request,
            meta,
            (error, value) => {
              // Of a call that was given up the driver itself says that it was cancelled: nothing was heard of the server.
              if (over) return
              clearTimeout(timer)
              active.delete(cancel)
              if (error === null || !errors.isUnavailable(error)) endpoint.heard = performance.now()
              resume(judged(method, request, error, value))
            }
          )
        } catch (error) {
          // A channel that was closed throws.
          stop()
          resume(Effect.fail(errors.unavailable(error)))
        }
        return Effect.sync(stop)
      })
  }
}
