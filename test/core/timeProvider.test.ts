/** Who tells the time: a store that has a clock, and a server of HTTP by its `Date`. */
import { assert, describe, it } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import { createServer, type RequestListener } from "node:http"
import type { AddressInfo } from "node:net"
import { InvalidOptions, type StorageError } from "../../src/LockError.js"
import { MemoryStorage, TimeProvider, VersionedStore } from "../../src/index.js"

const date = Date.UTC(2026, 10, 29, 12, 0, 7)
const told = new Date(date).toUTCString()

const serving = (listener: RequestListener) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.promise(
        () =>
          new Promise<ReturnType<typeof createServer>>((resolve) => {
            const server = createServer({ keepAlive: false }, (request, response) => {
              response.sendDate = false
              listener(request, response)
            })
            server.listen(0, "127.0.0.1", () => resolve(server))
          })
      ),
      (server) =>
        Effect.sync(() => {
          server.closeAllConnections()
          server.close()
        })
    ),
    (server) => `http://127.0.0.1:${(server.address() as AddressInfo).port}/time`
  )

const withTime = (provider: TimeProvider.TimeProvider, options?: TimeProvider.Options) =>
  Effect.flatMap(MemoryStorage.makeVersioned({ time: "none" }), (store) =>
    VersionedStore.withTime(store, provider, options)
  )

describe("the Date of a server", () => {
  it.live("is the time to a second", () =>
    Effect.gen(function* () {
      const asked: Array<string> = []
      const url = yield* serving(({ method, url }, response) => {
        asked.push(`${method} ${url}`)
        response.setHeader("Date", told).end()
      })
      const store = yield* withTime(TimeProvider.httpDate({ url, accuracy: "100 millis" }))
      const { earliest, latest } = yield* store.timeBounds!
      assert.isAtLeast(earliest, (date - 101) * 1000)
      // The second, the accuracy either way, and the tolerance.
      assert.isAtLeast(latest - earliest, (1_000 + 200 + 250) * 1000)
      assert.deepStrictEqual(asked, ["HEAD /time"])
    })
  )

  const faults: ReadonlyArray<readonly [string, RequestListener, StorageError["reason"], RegExp]> = [
    ["has none", (_, response) => response.end(), "Connection", /has no Date/],
    ["tells nonsense", (_, response) => response.setHeader("Date", "soon").end(), "Unknown", /told the time NaN/],
    ["fails", (_, response) => response.writeHead(503, { Date: told }).end(), "Connection", /answered 503/],
    [
      "is a cache",
      (_, response) => response.writeHead(200, { Date: told, Age: "3" }).end(),
      "Connection",
      /a cache answered/
    ],
    ["does not answer", () => {}, "Timeout", /did not answer within 200 ms/],
    ["hangs up", (request) => request.socket.destroy(), "Connection", /could not be asked/]
  ]
  for (const [what, listener, reason, words] of faults)
    it.live(`that ${what}: a typed error`, () =>
      Effect.gen(function* () {
        const url = yield* serving(listener)
        const error = yield* Effect.flip(withTime(TimeProvider.httpDate({ url }), { timeout: "200 millis" }))
        assert(error._tag === "StorageError")
        assert.strictEqual(error.reason, reason, error.message)
        assert.match(error.message, words)
      })
    )

  it("is asked by a URL of HTTP that tells no secret", () => {
    for (const url of ["", "localhost", "ftp://host/", "http://u:sesame@host/", undefined, 5])
      try {
        TimeProvider.httpDate({ url } as never)
        assert.fail()
      } catch (error) {
        assert.instanceOf(error, InvalidOptions)
        assert.notInclude(String(error), "sesame")
      }
    assert.throws(() => TimeProvider.httpDate({ uri: "http://host" } as never), /did you mean url/)
  })
})

describe("the clock of another store", () => {
  it.effect("is the time, and one without a clock is none", () =>
    Effect.gen(function* () {
      const micros = date * 1000 + 7
      const other = yield* MemoryStorage.makeVersioned({ time: Effect.succeed(micros) })
      const store = yield* withTime(TimeProvider.ofStore(other))
      assert.isAtMost(yield* store.time!, micros)
      assert.throws(() => TimeProvider.ofStore(store) && TimeProvider.ofStore({ ...other, time: undefined }))
    })
  )
})
