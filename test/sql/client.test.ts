/** Queries on the program's own client, with connections that are made by hand: when one is out of time, what it is told, and that the connection goes back. */
import { assert, describe, it } from "#harness/vitest"
import * as Deferred from "#effect/Deferred"
import * as Effect from "#effect/Effect"
import * as Result from "#effect/Result"
import type * as SqlClient from "#effect/sql/SqlClient"
import type * as SqlConnection from "#effect/sql/SqlConnection"
import type { SqlError } from "#effect/sql/SqlError"
import * as clientExecutor from "../../src/backends/sql/clientExecutor.js"
import type { Answer, Query } from "../../src/backends/sql/executor.js"
import * as Faulty from "../support/faulty.js"

type Client = SqlClient.SqlClient & { readonly config: object }

const connection = { name: "one" } as unknown as SqlConnection.Connection
const query: Query<string> = { statement: "SELECT 1", values: [7] }

/** An error whose message is all that the executor knew. */
const told = (...words: ReadonlyArray<unknown>) => ({ ...Faulty.failure("Unknown", "no"), message: words.join(" ") })

/** A client of one connection. `reserving` comes before it is had, `executing` is what a query comes to. */
const setup = (parts: {
  readonly reserving?: Effect.Effect<void, unknown>
  readonly executing?: Effect.Effect<ReadonlyArray<unknown>, unknown>
  readonly config?: object
}) => {
  const seen = { reserved: 0, givenBack: 0, executed: [] as Array<readonly [unknown, unknown, number]> }
  const client = {
    config: parts.config ?? {},
    reserve: Effect.andThen(
      parts.reserving ?? Effect.void,
      Effect.acquireRelease(
        Effect.sync(() => {
          seen.reserved++
          return connection
        }),
        () => Effect.sync(() => void seen.givenBack++)
      )
    )
  } as unknown as Client
  const executor = clientExecutor.make<string>(client, {
    execute: (on, asked, millis) => {
      seen.executed.push([on, asked, millis])
      return (parts.executing ?? Effect.succeed([{ n: 1 }])) as Effect.Effect<ReadonlyArray<unknown>, SqlError>
    },
    fromDriver: (operation, error, phase) => told("driver", operation, (error as Error).message, phase),
    noConnection: (operation, millis) => told("no connection", operation, millis),
    noAnswer: (operation, millis) => told("no answer", operation, millis)
  })
  const answers: Array<Answer> = []
  const run = (millis: number) =>
    Effect.callback<Answer>((resume) =>
      executor.run("claim", query, millis, (answer) => {
        answers.push(answer)
        resume(Effect.succeed(answer))
      })
    )
  const fails = (millis: number) =>
    Effect.map(run(millis), (answer) => (Result.isFailure(answer) ? answer.failure.message : "it succeeded"))
  return { executor, seen, answers, run, fails }
}

const givenBack = (seen: { readonly givenBack: number }) =>
  Effect.repeat(
    Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 1))),
    { until: () => seen.givenBack > 0 }
  )

describe("a query on the program's own client", () => {
  it.live("is run on a connection that is reserved for it, with the time that is left, and given back", () =>
    Effect.gen(function* () {
      const { answers, run, seen } = setup({})
      assert.deepStrictEqual(yield* run(60_000), Result.succeed([{ n: 1 }]))
      yield* givenBack(seen)
      const [[on, asked, millis]] = seen.executed as [readonly [unknown, unknown, number]]
      assert.deepStrictEqual([on, asked], [connection, query])
      assert.isTrue(millis > 0 && millis <= 60_000, String(millis))
      assert.deepStrictEqual([seen.reserved, seen.givenBack, answers.length], [1, 1, 1])
    })
  )

  it.live("says where it was when the driver failed: it was not applied, or it may have been", () =>
    Effect.gen(function* () {
      const connecting = setup({ reserving: Effect.fail(new Error("refused")) })
      assert.strictEqual(yield* connecting.fails(60_000), "driver claim refused connecting")
      const executing = setup({ executing: Effect.fail(new Error("reset")) })
      assert.strictEqual(yield* executing.fails(60_000), "driver claim reset executing")
      yield* givenBack(executing.seen)
      const thrown = setup({ executing: Effect.die(new Error("a bug")) })
      assert.strictEqual(yield* thrown.fails(60_000), "driver claim a bug executing")
    })
  )

  it.live("hands on what the dialect itself calls an error of the storage", () =>
    Effect.gen(function* () {
      const error = Faulty.failure("Permission", "no", false)
      const { run } = setup({ executing: Effect.fail(error) })
      const answer = yield* run(60_000)
      assert.strictEqual(Result.isFailure(answer) && answer.failure, error)
    })
  )

  it.live("is out of time while it waits for a connection: one that comes later is given back unused", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const { answers, fails, seen } = setup({ reserving: Deferred.await(gate) })
      assert.strictEqual(yield* fails(5), "no connection claim 5")
      yield* Deferred.succeed(gate, undefined)
      yield* givenBack(seen)
      assert.deepStrictEqual([seen.executed.length, seen.reserved, answers.length], [0, 1, 1])
    })
  )

  it.live("is out of time while it runs: it goes on, and what it comes to is told nobody", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const { answers, fails, seen } = setup({ executing: Effect.as(Deferred.await(gate), []) })
      assert.strictEqual(yield* fails(5), "no answer claim 5")
      assert.strictEqual(seen.givenBack, 0, "the program must not get a connection that is busy")
      yield* Deferred.succeed(gate, undefined)
      yield* givenBack(seen)
      assert.strictEqual(answers.length, 1)
    })
  )

  it.live("may have more time than a timer can count", () =>
    Effect.gen(function* () {
      const pause = Effect.promise(() => new Promise<void>((resolve) => setTimeout(resolve, 5)))
      const { run } = setup({ executing: Effect.as(pause, []) })
      assert.deepStrictEqual(yield* run(2 ** 40), Result.succeed([]))
    })
  )

  it("goes over as many connections as the client is configured for, or ten", () => {
    assert.strictEqual(setup({ config: { maxConnections: 3 } }).executor.width, 3)
    assert.strictEqual(setup({}).executor.width, 10)
  })
})
