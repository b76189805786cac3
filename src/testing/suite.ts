/**
 * Registers the cases with `@effect/vitest`.
 */
import * as Cause from "#effect/Cause"
import * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import * as Exit from "#effect/Exit"
import * as Scope from "#effect/Scope"
import { type Names, unknownName } from "../common/optionNames.js"
import type { InvalidOptions } from "../LockError.js"
import type * as Case from "./Case.js"
import { cases } from "./cases.js"
import { type Result, runCase } from "./check.js"
import * as Env from "./env.js"
import * as Versioned from "./versioned.js"

/**
 * @since 0.1.0
 * @category models
 */
export interface SuiteOptions extends Case.Target {
  /** Rules that are not checked, each with the reason, which is shown. */
  readonly skip?: { readonly [rule: string]: string } | undefined
  /** For one case. Default: three minutes. */
  readonly timeout?: Duration.Input | undefined
}

const versionedNames: Names<Versioned.VersionedTarget & Pick<SuiteOptions, "skip" | "timeout">> = {
  name: true,
  layer: true,
  builds: true,
  skip: true,
  timeout: true
}

const names: Names<SuiteOptions> = {
  ...versionedNames,
  hooks: true,
  versioned: true,
  wakesUp: true,
  kind: true,
  seed: true,
  sequences: true,
  effort: true
}

const hookNames: Names<Case.Hooks> = {
  advance: true,
  inTransaction: true,
  loseReply: true,
  hang: true,
  restart: true,
  shiftClient: true,
  breakHints: true,
  refuseWrites: true
}

const orThrow = (fault: InvalidOptions | undefined): void => {
  if (fault !== undefined) throw fault
}

// `vitest` refuses to be imported by anything that it does not run; `check` is for use there, and comes with the same module.
const vitest = await import("@effect/vitest").catch((cause: unknown) => ({ cause }))

const register = <C extends { readonly name: string; readonly rule: string }, O>(
  options: { readonly name: string; readonly skip?: SuiteOptions["skip"]; readonly timeout?: SuiteOptions["timeout"] },
  cases: ReadonlyArray<C>,
  open: Effect.Effect<O, unknown, Scope.Scope>,
  run: (each: C, opened: O, limit: number) => Effect.Effect<Result>
): void => {
  if ("cause" in vitest) {
    throw new Error(
      "Conformance.suite needs vitest and @effect/vitest, and runs within vitest; use Conformance.check elsewhere",
      {
        cause: vitest.cause
      }
    )
  }
  const { afterAll, beforeAll, describe, it } = vitest
  const timeout = Duration.toMillis(options.timeout ?? "3 minutes")
  for (const rule of Object.keys(options.skip ?? {})) {
    if (!cases.some((each) => each.rule === rule))
      throw new Error(`Conformance.suite: there is no rule ${JSON.stringify(rule)} to skip`)
  }
  describe(options.name, () => {
    const scope = Effect.runSync(Scope.make())
    let opened: O | undefined
    beforeAll(async () => {
      opened = await Effect.runPromise(Scope.provide(open, scope))
    }, timeout)
    afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)), timeout)
    for (const each of cases) {
      it(`${each.name} [${each.rule}]`, { timeout }, async (context) => {
        const reason = options.skip?.[each.rule]
        if (reason !== undefined) return context.skip(reason)
        const result = await Effect.runPromise(run(each, opened!, 0.9 * timeout), { signal: context.signal })
        if (result._tag === "Skipped") context.skip(result.reason)
        if (result._tag === "Failed") throw Cause.squash(result.cause)
      })
    }
  })
}

/**
 * Registers every case, in a `describe` of the suite's name. The layer is built once for all of them, and again where a case needs several connections.
 *
 * @example
 * ```ts
 * import { MemoryStorage } from "effect-storage-lock"
 * import * as Conformance from "effect-storage-lock/testing"
 *
 * Conformance.suite({ name: "memory", layer: MemoryStorage.layer })
 * ```
 *
 * @since 0.1.0
 * @category runners
 */
export const suite = (options: SuiteOptions): void => {
  orThrow(
    unknownName(options, names) ?? unknownName(options.hooks ?? {}, hookNames, "hooks") ?? Env.effortFault(options)
  )
  register(options, cases, Env.open(options), runCase)
}

/**
 * Registers every case of the smaller port. A store that passes, and whose `VersionedStore.layerStorage` passes `suite`, keeps all promises.
 *
 * @example
 * ```ts
 * import { MemoryStorage, VersionedStore } from "effect-storage-lock"
 * import * as Conformance from "effect-storage-lock/testing"
 * import { Layer } from "effect"
 *
 * const store = MemoryStorage.layerVersioned
 * Conformance.versionedSuite({ name: "memory, compare-and-set", layer: store, builds: "own" })
 * Conformance.suite({ name: "locks over it", layer: Layer.provide(VersionedStore.layerStorage(), store), builds: "own" })
 * ```
 *
 * @since 0.1.0
 * @category runners
 */
export const versionedSuite = (options: Versioned.VersionedTarget & Pick<SuiteOptions, "skip" | "timeout">): void => {
  orThrow(unknownName(options, versionedNames))
  register(options, Versioned.versionedCases, Versioned.openVersioned(options), Versioned.runVersioned)
}
