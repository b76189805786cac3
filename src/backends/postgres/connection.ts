/** How each connection is made: by the URL as it is at that moment, with our settings under the program's. */
import * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import type * as fibers from "#effect/fibers"
import * as Pg from "pg"
import { InvalidOptions, StorageError } from "../../LockError.js"
import { isFixed, now, type Present } from "../shared/currentValue.js"
import { type ResolvedUrl, url } from "./url.js"

/** A URL that is given once, or asked for at each connection. */
export interface Source {
  readonly field: string
  readonly fixed: ResolvedUrl | undefined
  readonly now: Effect.Effect<ResolvedUrl, StorageError>
}

/** A value that is given is checked at once; one that is asked, whenever it is asked. */
export const source = (field: string, option: Present<unknown>, pooler = false): Source | InvalidOptions => {
  if (isFixed(option)) {
    const fixed = url(field, option, pooler)
    return fixed instanceof InvalidOptions ? fixed : { field, fixed, now: Effect.succeed(fixed) }
  }
  return {
    field,
    fixed: undefined,
    now: Effect.flatMap(now("PostgresStorage.connect", field, option), (value) => {
      const resolved = url(field, value, pooler)
      return resolved instanceof InvalidOptions
        ? new StorageError({
            reason: "Connection",
            operation: "PostgresStorage.connect",
            isRetryable: true,
            applied: "no",
            message: `what \`${field}\` gave just now cannot be used: ${resolved.message}`,
            cause: resolved
          })
        : Effect.succeed(resolved)
    })
  }
}

interface Parameters {
  options: string | undefined
}

/**
 * A client that learns where to connect, and as whom, when it connects. Its constructor cannot fail: the pool calls it where nobody would hear. `settings` are options of the session (`-c name=value`),
 * before those of the URL or of PGOPTIONS, so that the program's own win; those in a start-up packet of their own would not let them.
 */
export const clientClass = (
  from: Source,
  run: fibers.Run,
  config: Pg.ClientConfig,
  settings: string,
  patience: number
): new () => Pg.Client => {
  const become = (client: Pg.Client, resolved: ResolvedUrl) => {
    const limit = Math.min(resolved.config.connectionTimeoutMillis ?? patience, patience)
    const ready = new Pg.Client({ ...config, ...resolved.config, connectionTimeoutMillis: Math.ceil(limit) })
    // All that the constructor made of the settings, and none of what the emitter has heard of listeners.
    for (const [name, property] of Object.entries(Object.getOwnPropertyDescriptors(ready))) {
      if (!/^_events(Count)?$|^_maxListeners$/.test(name)) Object.defineProperty(client, name, property)
    }
    if (settings === "") return
    const { connectionParameters } = client as unknown as { readonly connectionParameters: Parameters }
    connectionParameters.options = connectionParameters.options
      ? `${settings} ${connectionParameters.options}`
      : settings
  }

  return class Client extends Pg.Client {
    constructor() {
      super({ host: "127.0.0.1", ssl: false })
    }

    override connect(): Promise<Pg.Client>
    override connect(callback: (error: Error | null, client?: Pg.Client) => void): void
    override connect(callback?: (error: Error | null, client?: Pg.Client) => void): Promise<Pg.Client> | void {
      if (callback === undefined) {
        return new Promise((resolve, reject) => this.connect((error) => (error ? reject(error) : resolve(this))))
      }
      const fail = (error: unknown) => {
        callback(error as Error)
        // Nothing was opened that could end.
        this.emit("end")
      }
      const go = (resolved: ResolvedUrl) => {
        // Ended while the URL was asked for.
        if ((this as unknown as { readonly _ending: boolean })._ending)
          return fail(new Error("the connection was closed before it was opened"))
        try {
          become(this, resolved)
        } catch (error) {
          return fail(error)
        }
        super.connect(callback as () => void)
      }
      if (from.fixed !== undefined) return go(from.fixed)
      const asked = Effect.timeoutOrElse(from.now, {
        duration: Duration.millis(patience),
        orElse: () =>
          Effect.fail(
            new StorageError({
              reason: "Timeout",
              operation: "PostgresStorage.connect",
              isRetryable: true,
              applied: "no",
              message: `\`${from.field}\` was asked for what it is now, and did not answer within ${Math.round(patience)} ms`
            })
          )
      })
      run.callback(Effect.result(asked), (exit) => {
        if (exit._tag === "Failure") return fail(new Error(`\`${from.field}\` could not be asked for what it is now`))
        if (exit.value._tag === "Failure") return fail(exit.value.failure)
        go(exit.value.success)
      })
    }
  }
}
