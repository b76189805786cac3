/** What a program exports by OTLP reaches a collector, and a collector that hangs holds up no lock. */
import { assert, describe, it } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import * as Layer from "#effect/Layer"
import * as otlp from "#harness/otlp"
import * as Http from "node:http"
import type { AddressInfo } from "node:net"
import * as MemoryStorage from "../../src/backends/memory/MemoryStorage.js"
import * as LockMetrics from "../../src/LockMetrics.js"
import * as StorageLock from "../../src/StorageLock.js"

interface Attribute {
  readonly key: string
  readonly value: Readonly<Record<string, unknown>>
}

interface Span {
  readonly name: string
  readonly spanId: string
  readonly parentSpanId?: string
  readonly attributes: ReadonlyArray<Attribute>
}

interface Metric {
  readonly name: string
}

/** As the collector's receiver of OTLP takes it: JSON, by POST. */
const collector = (answers: boolean) =>
  Effect.acquireRelease(
    Effect.callback<{ readonly server: Http.Server; readonly url: string; readonly bodies: Array<[string, any]> }>(
      (resume) => {
        const bodies: Array<[string, any]> = []
        const server = Http.createServer((request, response) => {
          let text = ""
          request.on("data", (data: Buffer) => (text += String(data)))
          request.on("end", () => {
            bodies.push([request.url!, JSON.parse(text)])
            if (answers) response.writeHead(200, { "content-type": "application/json" }).end("{}")
          })
        })
        server.listen(0, "127.0.0.1", () =>
          resume(Effect.succeed({ server, bodies, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }))
        )
      }
    ),
    ({ server }) =>
      Effect.sync(() => {
        server.closeAllConnections()
        server.close()
      })
  )

const locks = (namespace: string) =>
  LockMetrics.layer({ lockIds: ["foo"] }).pipe(
    Layer.provideMerge(StorageLock.layer({ namespace })),
    Layer.provide(MemoryStorage.layer)
  )

const values = (attributes: ReadonlyArray<Attribute>): Record<string, unknown> =>
  Object.fromEntries(attributes.map(({ key, value }) => [key, Object.values(value)[0]]))

describe("OTLP", () => {
  it.live("spans and metrics arrive as a collector takes them", () =>
    Effect.gen(function* () {
      const { bodies, url } = yield* collector(true)
      const all = <A>(path: string, list: (body: any) => ReadonlyArray<A>): ReadonlyArray<A> =>
        bodies.filter(([at]) => at === path).flatMap(([, body]) => list(body))
      const spans = () =>
        all<Span>("/v1/traces", ({ resourceSpans }) =>
          resourceSpans.flatMap((_: any) => _.scopeSpans.flatMap((_: any) => _.spans))
        )
      const metrics = () =>
        all<Metric>("/v1/metrics", ({ resourceMetrics }) =>
          resourceMetrics.flatMap((_: any) => _.scopeMetrics.flatMap((_: any) => _.metrics))
        )
      const named = (name: string) => spans().find((span) => span.name === name)
      const wanted = [
        "storage_lock_acquires_total",
        "storage_lock_released_total",
        "storage_lock_hold_seconds",
        "storage_lock_storage_requests_total"
      ]
      const work = Effect.void.pipe(
        Effect.withSpan("body"),
        StorageLock.withLock("foo", { ownerLabel: "me" }),
        Effect.withSpan("request")
      )
      yield* Effect.gen(function* () {
        yield* work
        const arrived = Effect.sync(
          () =>
            ["request", "body", "StorageLock.acquire", "StorageLock.hold"].every(named) &&
            wanted.every((name) => metrics().some((metric) => metric.name === name))
        )
        yield* arrived.pipe(Effect.delay("20 millis"), Effect.repeat({ until: (is) => is }))
      }).pipe(Effect.provide(locks("otlp")), Effect.provide(otlp.layer(url)))

      const [request, body] = [named("request")!, named("body")!]
      const [acquire, hold] = [named("StorageLock.acquire")!, named("StorageLock.hold")!]
      assert.deepStrictEqual(
        [acquire.parentSpanId, hold.parentSpanId, body.parentSpanId],
        [request.spanId, request.spanId, hold.spanId]
      )
      assert.deepInclude(values(acquire.attributes), {
        "storage_lock.lock_id": "foo",
        "storage_lock.owner_label": "me",
        "storage_lock.namespace": "otlp",
        "storage_lock.outcome": "Acquired"
      })
      const points = bodies
        .filter(([at]) => at === "/v1/metrics")
        .flatMap(([, body]) => body.resourceMetrics[0].scopeMetrics[0].metrics)
        .filter(({ name }: Metric) => name === "storage_lock_acquires_total")
        .flatMap((metric: any) => metric.sum.dataPoints)
        .map((point: any) => values(point.attributes))
      // The registry is the program's: what other layers count is there, too.
      assert.isTrue(
        points.some(
          ({ lock_id, namespace, outcome }: Record<string, unknown>) =>
            lock_id === "foo" && outcome === "acquired" && namespace === "otlp"
        )
      )
      assert.strictEqual(
        values(
          bodies[0]![1].resourceSpans?.[0].resource.attributes ?? bodies[0]![1].resourceMetrics[0].resource.attributes
        )["service.name"],
        "locks"
      )
    })
  )

  it.live("a collector that hangs holds up no lock", () =>
    Effect.gen(function* () {
      const { bodies, url } = yield* collector(false)
      let ran = 0
      yield* Effect.forEach(
        Array.from({ length: 2_000 }, (_, i) => i),
        (i) =>
          StorageLock.withLock(
            Effect.sync(() => ran++),
            `foo ${i % 50}`
          ),
        { concurrency: 50, discard: true }
      ).pipe(
        // As long as it takes for the exporter to hang for sure.
        Effect.repeat({ until: () => bodies.length > 0 }),
        Effect.withSpan("requests"),
        Effect.provide(locks("otlp hangs")),
        Effect.provide(otlp.layer(url))
      )
      assert.strictEqual(ran % 2_000, 0)
      assert.isAbove(ran, 0)
    })
  )
})
