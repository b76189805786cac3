/** The client of our own: opened with what its URL is now, replaced when that has changed, and closed with its scope in bounded time. */
import * as Effect from "#effect/Effect"
import * as Semaphore from "#effect/Semaphore"
import type * as Redacted from "effect/Redacted"
import type * as Scope from "#effect/Scope"
import type { Db, MongoClient } from "mongodb"
import { InvalidOptions, type StorageError } from "../../LockError.js"
import * as present from "../shared/currentValue.js"
import * as errors from "./errors.js"
import type { ResolvedUrl } from "./url.js"

/** Where commands go: to the program's client, or to the one of ours that there is now. */
export interface Connection {
  readonly db: (name: string) => Db
  readonly isClosed: () => boolean
  /** After no connection could be made with what `used` was opened with: whether there is another client now. */
  readonly renew?: ((operation: string, used: Db) => Effect.Effect<boolean, StorageError>) | undefined
}

/** The program's client is as the program has it: its own providers of credentials count. */
export const ofProgram = (client: MongoClient): Connection => ({ db: (name) => client.db(name), isClosed: () => false })

/** How long the goodbyes may take, in milliseconds. */
const farewell = 1_000

/** How long a client that was replaced may go on with what is under way, in milliseconds. */
const overlap = 10_000

/** How often files may be read again that the URL names, in milliseconds. */
const reread = 5_000

const close = (client: MongoClient): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    const done = () => {
      clearTimeout(timer)
      resume(Effect.void)
    }
    const timer = setTimeout(done, farewell)
    client.close().then(done, done)
  })

/**
 * The driver keeps what a client was made with: a password, and what stood in the files of certificates. So when no connection can be made, the URL is asked for again, and if it is another one, or
 * names files, a new client takes the place of this one.
 */
export const own = (
  url: present.Present<Redacted.Redacted>,
  resolve: (value: Redacted.Redacted) => ResolvedUrl | InvalidOptions
): Effect.Effect<Connection & { readonly database: string }, StorageError | InvalidOptions, Scope.Scope> =>
  Effect.gen(function* () {
    const isFixed = present.isFixed(url)
    const ask = (operation: string) =>
      Effect.flatMap(
        present.now(`MongoStorage.${operation}`, "url", url),
        (value): Effect.Effect<ResolvedUrl, StorageError> => {
          const found = resolve(value)
          return found instanceof InvalidOptions ? errors.nonsense(operation, found.message) : Effect.succeed(found)
        }
      )
    const early = isFixed ? resolve(url) : undefined
    if (early instanceof InvalidOptions) return yield* early
    let reach = early ?? (yield* ask("setup"))
    const { database } = reach
    const state = { closed: false, client: reach.client(), made: performance.now() }
    const former = new Set<MongoClient>()
    const one = Semaphore.makeUnsafe(1)

    const retire = (client: MongoClient) => {
      former.add(client)
      const timer = setTimeout(() => {
        former.delete(client)
        client.close().catch(() => {})
      }, overlap)
      timer.unref()
    }

    yield* Effect.addFinalizer(() =>
      Effect.suspend(() => {
        state.closed = true
        return Effect.forEach([state.client, ...former], close, { concurrency: "unbounded", discard: true })
      })
    )

    const replace = (operation: string, used: Db) =>
      Effect.gen(function* () {
        // Somebody else has seen to it.
        if (state.closed || used.client !== state.client) return !state.closed
        const found = isFixed ? reach : yield* ask(operation)
        if (found.database !== database)
          return yield* errors.nonsense(operation, "the url names another database than it did at the start")
        const isSame = found.text === reach.text && !(found.namesFiles && performance.now() - state.made >= reread)
        if (isSame || state.closed) return false
        retire(state.client)
        reach = found
        state.client = found.client()
        state.made = performance.now()
        return true
      })

    return {
      database,
      db: (name) => state.client.db(name),
      isClosed: () => state.closed,
      renew:
        isFixed && !reach.namesFiles ? undefined : (operation, used) => one.withPermits(1)(replace(operation, used))
    }
  })
