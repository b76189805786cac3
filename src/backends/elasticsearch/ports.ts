/** Both ports of Elasticsearch: which clock decides, and which of the two ways of writing. */
import * as Effect from "#effect/Effect"
import type * as Scope from "#effect/Scope"
import type { StorageError } from "../../LockError.js"
import * as client from "../http/client.js"
import type { Source } from "../http/source.js"
import type { Ports as Both } from "../shared/layers.js"
import * as audit from "./audit.js"
import { names } from "./errors.js"
import * as identity from "./identity.js"
import type { ResolvedCommon } from "./options.js"
import * as requests from "./requests.js"
import * as runner from "./runner.js"
import * as seeded from "./seeded.js"
import * as setup from "./setup.js"
import * as storage from "./storage.js"
import * as versioned from "./versioned.js"

export interface Ports extends Both {
  readonly mode: "script" | "versioned"
}

/** Both ports over whatever sends requests, which closes with the scope. */
export const open = (source: Source, options: ResolvedCommon): Effect.Effect<Ports, StorageError, Scope.Scope> =>
  Effect.gen(function* () {
    const http = yield* Effect.acquireRelease(
      Effect.sync(() => client.make(names, source)),
      ({ close }) => close
    )
    const run = runner.make(http, options.operationTimeout)
    const asked = requests.make(options.index)
    const prepared = yield* setup.prepare(run, asked, options)
    const store = versioned.make(run, asked, prepared.clock)
    const watch = identity.make(prepared, setup.look(run, options.index))
    const inner =
      prepared.clock === "storage"
        ? storage.make(run, asked)
        : seeded.storage(store, () => watch.known().created, { versionMissRetry: options.versionMissRetry })
    return {
      mode: prepared.clock === "storage" ? "script" : "versioned",
      versioned: store,
      storage: identity.watching(inner, watch, audit.make(run, options.index, prepared.clock === "storage"))
    }
  })
