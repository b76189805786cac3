/** The client of our own, and the program's. */
import { DynamoDBClient, type DynamoDBClientConfig } from "@aws-sdk/client-dynamodb"
import * as Effect from "#effect/Effect"
import type * as Scope from "#effect/Scope"
import { InvalidOptions, type StorageError } from "../../LockError.js"
import { isFixed, now, type Present } from "../shared/currentValue.js"
import type { Connection } from "./caller.js"
import * as errors from "./errors.js"
import * as options from "./options.js"

/** Asked before any request, so that its absence is told for what it is. */
const withRegion = (client: DynamoDBClient, field: "region" | "client"): Effect.Effect<void, InvalidOptions> =>
  Effect.catch(
    Effect.tryPromise({ try: async () => client.config.region(), catch: () => options.noRegion(field) }),
    (error) => Effect.fail(error)
  ).pipe(
    Effect.flatMap((region) => (typeof region === "string" && region !== "" ? Effect.void : options.noRegion(field)))
  )

const connect = (client: DynamoDBClient, owned: boolean): Effect.Effect<Connection, never, Scope.Scope> => {
  const state = { closed: false }
  const active = new Set<() => void>()
  return Effect.acquireRelease(Effect.succeed({ client, active, isClosed: () => state.closed }), () =>
    Effect.sync(() => {
      state.closed = true
      for (const close of [...active]) close()
      if (owned) client.destroy()
    })
  )
}

/** The program's client is as the program has it: its region, its endpoint and its credentials count. */
export const ofProgram = (client: DynamoDBClient): Effect.Effect<Connection, InvalidOptions, Scope.Scope> =>
  Effect.andThen(withRegion(client, "client"), connect(client, false))

type Given = Present<options.Credentials>

/** The SDK keeps what has no end: so what we give it has always just ended, and what is known is kept here, until it is refused. */
const asked = (given: Given) => {
  let known: Promise<options.ResolvedCredentials> | undefined
  const ask = async (): Promise<options.ResolvedCredentials> => {
    const value = await Effect.runPromise(
      Effect.flatMap(now("DynamoDbStorage.credentials", "credentials", given), (value) => {
        const found = options.credentials(value)
        return found instanceof InvalidOptions ? errors.nonsense("credentials", found) : Effect.succeed(found)
      })
    )
    return value
  }
  return {
    provide: async () => {
      known ??= ask()
      try {
        return { ...(await known), expiration: new Date(0) }
      } catch (error) {
        known = undefined
        throw error
      }
    },
    forget: () => void (known = undefined)
  }
}

export interface Options extends options.Reach {
  readonly credentials: Given | undefined
}

/** Credentials that do not change are looked at before any I/O. */
export const checked = (given: Given | undefined): InvalidOptions | undefined => {
  const found = given !== undefined && isFixed(given) ? options.credentials(given) : undefined
  return found instanceof InvalidOptions ? found : undefined
}

export const own = ({
  credentials,
  endpoint,
  region
}: Options): Effect.Effect<Connection, StorageError | InvalidOptions, Scope.Scope> =>
  Effect.gen(function* () {
    const fault = checked(credentials)
    if (fault !== undefined) return yield* fault
    const given = credentials === undefined ? undefined : asked(credentials)
    const config: DynamoDBClientConfig = {
      // A repeat is up to the library, which names each hold.
      maxAttempts: 1,
      ...(region === undefined ? {} : { region }),
      ...(endpoint === undefined ? {} : { endpoint }),
      ...(given === undefined ? {} : { credentials: given.provide })
    }
    const client = new DynamoDBClient(config)
    const connection = yield* connect(client, true)
    yield* withRegion(client, "region")
    return {
      ...connection,
      refused: credentials === undefined || isFixed(credentials) ? undefined : given!.forget
    }
  })
