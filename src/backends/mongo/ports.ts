/** Both ports of MongoDB over whatever runs commands. */
import * as Effect from "#effect/Effect"
import type * as Scope from "#effect/Scope"
import type * as Stream from "#effect/Stream"
import type { StorageError } from "../../LockError.js"
import * as VersionedStore from "../../VersionedStore.js"
import type { Ports as Both } from "../shared/layers.js"
import * as audit from "./audit.js"
import type { Connection } from "./clients.js"
import * as driver from "./driver.js"
import type { Executor } from "./executor.js"
import type { ResolvedCommon } from "./options.js"
import * as runner from "./runner.js"
import * as setup from "./setup.js"
import * as storage from "./storage.js"
import * as versioned from "./versioned.js"
import * as wakeUps from "./wakeUps.js"

export interface Settings extends ResolvedCommon {
  readonly database: string
}

export interface Ports extends Both {
  readonly mode: "pipeline" | "versioned"
}

/** Both ports over whatever runs commands. */
export const over = (
  executor: Executor,
  config: Executor,
  settings: Settings,
  hints: Stream.Stream<string> | undefined
): Effect.Effect<Ports, StorageError> =>
  Effect.gen(function* () {
    const known = { ...settings, replicated: false }
    const run = runner.make(executor, known)
    const { greeting, mode, replicated } = yield* setup.prepare(run, runner.make(config, known), settings)
    const store = versioned.make(run, runner.once(executor, known), { ...known, replicated }, greeting, hints)
    const place = audit.make(runner.once(executor, known), { ...known, replicated }, greeting)
    const inner =
      mode === "pipeline"
        ? storage.make(run, { ...known, replicated }, hints)
        : VersionedStore.toStorage(store, { versionMissRetry: settings.versionMissRetry })
    return {
      mode,
      versioned: store,
      storage: { ...inner, audit: place }
    }
  })

/** How long the server may keep a question for changes, and how much longer its answer may take: a dead connection is noticed after both. */
const quiet = 5_000
const patience = 5_000

export const open = (connection: Connection, settings: Settings): Effect.Effect<Ports, StorageError, Scope.Scope> =>
  Effect.gen(function* () {
    const { collection, database } = settings
    const hints = settings.wakeUps
      ? yield* wakeUps.make({ connection, database, collection, quiet, patience })
      : undefined
    return yield* over(driver.make(connection, database), driver.make(connection, "config"), settings, hints)
  })
