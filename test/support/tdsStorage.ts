/** A MssqlStorage over what stands where a SQL Server should. */
import { assert } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import * as Redacted from "effect/Redacted"
import type * as Scope from "#effect/Scope"
import { randomBytes } from "node:crypto"
import * as MssqlStorage from "../../src/backends/mssql/MssqlStorage.js"
import type { StorageError } from "../../src/LockError.js"
import type * as Storage from "../../src/Storage.js"
import type * as Locks from "../harness/tdsLocks.js"

export const claim = (storage: Storage.Service, lockId = "a") =>
  storage.claim({ lockId, ownerId: "me", holdId: randomBytes(16).toString("base64url"), lease: 30_000_000 })

export const open = (server: Locks.Server, options: Partial<MssqlStorage.Options> = {}) =>
  Effect.map(
    MssqlStorage.make({ url: Redacted.make(server.url()), operationTimeout: "5 seconds", ...options }),
    ({ storage }) => storage
  )

export const refused = <A>(effect: Effect.Effect<A, unknown, Scope.Scope>): Effect.Effect<StorageError> =>
  Effect.map(Effect.flip(Effect.scoped(effect)), (error) => {
    assert.strictEqual((error as StorageError)._tag, "StorageError")
    return error as StorageError
  }) as Effect.Effect<StorageError>
