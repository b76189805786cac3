/**
 * Tests against real servers. One that cannot be had is named as not tested on a developer's machine, and fails the run in CI.
 */
import * as Data from "effect/Data"
import * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import * as Result from "#effect/Result"
import * as Exit from "#effect/Exit"
import * as Scope from "#effect/Scope"
import * as Net from "node:net"
import { bounded } from "../../src/core/lifecycle.js"

export class ServerUnavailable extends Data.TaggedError("ServerUnavailable")<{
  readonly server: string
  readonly reason: string
  /** Nobody can be expected to have it here: it is no failure, even where servers are required. */
  readonly isOptional?: boolean | undefined
}> {
  override get message(): string {
    return `${this.server} is not available: ${this.reason}`
  }
}

/** Whether a server that cannot be had is a failure. */
export const required = (env: NodeJS.ProcessEnv = process.env): boolean =>
  (env["CI"] ?? "false") !== "false" || env["EFFECT_STORAGE_LOCK_REQUIRE_SERVERS"] === "1"

/** Below those that systems give to outgoing connections: a server may need long until it listens, and until then such a one could take its port. */
const anyPort = () => 12_000 + Math.floor(Math.random() * 20_000)

/** Tidies up at the end of a scope, or gives up: a server that a test left dead goes away as a whole. */
export const tidy = (self: Effect.Effect<unknown, unknown>, limit: Duration.Input): Effect.Effect<void> =>
  bounded(Effect.ignore(self), Duration.fromInputUnsafe(limit))

/** A loopback port that was free just now. */
export const freePort: Effect.Effect<number> = Effect.callback<number>((resume) => {
  const look = () => {
    const port = anyPort()
    const server = Net.createServer()
    server.once("error", look)
    server.listen(port, "127.0.0.1", () => server.close(() => resume(Effect.succeed(port))))
  }
  look()
})

/**
 * A `describe` over a server, which is had before the tests are collected and given back after the last of them:
 *
 *     await describeServer("PostgreSQL", Shared.postgres, (server) => { it.live("…", () => …) })
 */
export const describeServer = async <A>(
  name: string,
  server: Effect.Effect<A, ServerUnavailable, Scope.Scope>,
  tests: (server: A) => void,
  options: {
    /** No machine can be expected to have it: then it is named as not tested in CI, too. */
    readonly optional?: boolean | undefined
  } = {}
): Promise<void> => {
  // Loaded here, so that programs outside vitest can use the harness too.
  const { afterAll, describe, it } = await import("vitest")
  const scope = Effect.runSync(Scope.make())
  const obtained = await Effect.runPromise(Effect.result(Scope.provide(server, scope)))
  describe(name, () => {
    afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))
    if (Result.isSuccess(obtained)) {
      tests(obtained.success)
    } else if (required() && options.optional !== true && obtained.failure.isOptional !== true) {
      it("is available", () => {
        throw obtained.failure
      })
    } else {
      it("not tested", (context) => context.skip(obtained.failure.message))
    }
  })
}
