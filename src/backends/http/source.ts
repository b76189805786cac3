/** Which nodes there are, who asks them, and over what: as the options say now. */
import * as Effect from "#effect/Effect"
import * as Semaphore from "#effect/Semaphore"
import { InvalidOptions, type StorageError } from "../../LockError.js"
import * as present from "../shared/currentValue.js"
import * as errors from "./errors.js"
import type { Target, Transport } from "./exchange.js"

/** What the options say. */
export interface Resolved {
  readonly nodes: ReadonlyArray<string>
  readonly headers: Readonly<Record<string, string>>
  /** What the transport is made with; another key, another transport. */
  readonly key: string
  readonly open: () => Transport
}

/** What is in use. */
export interface Reach {
  readonly targets: ReadonlyArray<Target>
  readonly headers: Readonly<Record<string, string>>
  readonly transport: Transport
  /** Whose turn it is. */
  turn: number
}

export interface Source {
  /** If it is known without asking anybody. */
  readonly now: () => Reach | undefined
  readonly first: (operation: string) => Effect.Effect<Reach, StorageError>
  /** After `used` did not serve: what the options say now, if that is something else. */
  readonly renew: ((operation: string, used: Reach) => Effect.Effect<Reach | undefined, StorageError>) | undefined
  readonly close: () => void
}

/** A transport that was replaced may go on with what is under way, in milliseconds. */
const overlap = 10_000

type Options = Readonly<Record<string, present.Present<unknown>>>

/** `resolve` is given what each option is now. Where all are fixed, it is called at once, so that nonsense is told before any I/O. */
export const make = (
  names: errors.Names,
  options: Options,
  resolve: (values: Readonly<Record<string, unknown>>) => Resolved | InvalidOptions
): Source | InvalidOptions => {
  const isFixed = Object.values(options).every(present.isFixed)
  const retired = new Map<Transport, NodeJS.Timeout>()
  let current: { readonly resolved: Resolved; readonly reach: Reach } | undefined
  let closed = false

  const use = (resolved: Resolved): Reach => {
    const kept = current !== undefined && current.resolved.key === resolved.key
    if (current !== undefined && !kept) {
      const { transport } = current.reach
      const timer = setTimeout(() => {
        retired.delete(transport)
        transport.close()
      }, overlap)
      timer.unref()
      retired.set(transport, timer)
    }
    const reach: Reach = {
      targets: resolved.nodes.map((base) => ({ base })),
      headers: resolved.headers,
      transport: kept ? current!.reach.transport : resolved.open(),
      turn: 0
    }
    current = { resolved, reach }
    return reach
  }

  if (isFixed) {
    const early = resolve(options)
    if (early instanceof InvalidOptions) return early
    use(early)
  }

  const ask = (operation: string) =>
    Effect.gen(function* () {
      const values: Record<string, unknown> = {}
      for (const [field, option] of Object.entries(options))
        values[field] = yield* present.now(`${names.storage}.${operation}`, field, option)
      const found = resolve(values)
      return found instanceof InvalidOptions ? yield* errors.nonsense(names, operation, found) : found
    })
  const isSame = (a: Resolved, b: Resolved): boolean =>
    a.key === b.key && a.nodes.join() === b.nodes.join() && JSON.stringify(a.headers) === JSON.stringify(b.headers)

  const one = Semaphore.makeUnsafe(1)
  return {
    now: () => current?.reach,
    first: (operation) =>
      one.withPermits(1)(
        Effect.suspend(() => (current !== undefined ? Effect.succeed(current.reach) : Effect.map(ask(operation), use)))
      ),
    renew: isFixed
      ? undefined
      : (operation, used) =>
          one.withPermits(1)(
            Effect.suspend(() => {
              // Somebody else has seen to it.
              if (closed || current!.reach !== used) return Effect.succeed(closed ? undefined : current!.reach)
              return Effect.map(ask(operation), (found) =>
                closed || isSame(found, current!.resolved) ? undefined : use(found)
              )
            })
          ),
    close: () => {
      closed = true
      current?.reach.transport.close()
      for (const [transport, timer] of retired) {
        clearTimeout(timer)
        transport.close()
      }
    }
  }
}
