import { assert, describe, it } from "#harness/vitest"
import * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import * as Exit from "#effect/Exit"
import * as fibers from "#effect/fibers"
import * as Fiber from "#effect/Fiber"
import * as Net from "node:net"
import Pg from "pg"
import * as Frames from "./frames.js"
import * as Shared from "./shared.js"
import * as Proxy from "./proxy.js"
import { describeServer } from "./server.js"

/** Answers each chunk with itself in capitals, and remembers what it was asked. */
const echo = Effect.map(
  Effect.acquireRelease(
    Effect.callback<{ server: Net.Server; heard: Array<string> }>((resume) => {
      const heard: Array<string> = []
      const server = Net.createServer((socket) => {
        socket.on("error", () => {})
        socket.setEncoding("utf8").on("data", (text: string) => {
          heard.push(text)
          socket.write(text.toUpperCase())
        })
      })
      server.listen(0, "127.0.0.1", () => resume(Effect.succeed({ server, heard })))
    }),
    ({ server }) => Effect.callback<void>((resume) => void server.close(() => resume(Effect.void)))
  ),
  ({ heard, server }) => ({ heard, target: { host: "127.0.0.1", port: (server.address() as Net.AddressInfo).port } })
)

interface Client {
  readonly ask: (text: string) => Effect.Effect<string, Error>
  readonly closed: () => boolean
}

const connect = (port: number) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.callback<Net.Socket, Error>((resume) => {
        const socket = Net.connect(port, "127.0.0.1", () => resume(Effect.succeed(socket)))
        socket.on("error", (error) => resume(Effect.fail(error)))
      }),
      (socket) => Effect.sync(() => socket.destroy())
    ),
    (socket): Client => ({
      ask: (text) =>
        Effect.callback<string, Error>((resume) => {
          const data = (reply: Buffer) => settle(Effect.succeed(reply.toString()))
          const close = () => settle(Effect.fail(new Error("closed")))
          const settle = (exit: Effect.Effect<string, Error>) => {
            socket.off("data", data).off("close", close)
            resume(exit)
          }
          socket.on("data", data).on("close", close)
          socket.write(text)
        }),
      closed: () => socket.destroyed
    })
  )

const setting = Effect.gen(function* () {
  const { heard, target } = yield* echo
  const proxy = yield* Proxy.make(target, { protocol: "bytes" })
  return { heard, proxy, client: yield* connect(proxy.port) }
})

const until = (holds: () => boolean) =>
  Effect.sync(holds).pipe(Effect.delay("5 millis"), Effect.repeat({ until: (_) => _ }), Effect.timeout("4 minutes"))

describe("the proxy", () => {
  it.live("is transparent, and counts", () =>
    Effect.gen(function* () {
      const { client, proxy } = yield* setting
      assert.strictEqual(yield* client.ask("a"), "A")
      assert.strictEqual(yield* client.ask("b"), "B")
      assert.strictEqual(proxy.roundTrips(), 2)
      assert.strictEqual(proxy.connections(), 1)
      yield* proxy.resetRoundTrips
      assert.strictEqual(proxy.roundTrips(), 0)
      assert.strictEqual(proxy.url("postgres://me@there:5432/db?x=1"), `postgres://me@127.0.0.1:${proxy.port}/db?x=1`)
    })
  )

  it.live("cuts, and takes new connections", () =>
    Effect.gen(function* () {
      const { client, proxy } = yield* setting
      yield* client.ask("a")
      yield* proxy.cut
      yield* until(client.closed)
      assert.strictEqual(proxy.connections(), 0)
      assert.strictEqual(yield* (yield* connect(proxy.port)).ask("b"), "B")
    })
  )

  it.live("forgets a connection that its client closed", () =>
    Effect.gen(function* () {
      const { proxy } = yield* setting
      yield* Effect.scoped(Effect.flatMap(connect(proxy.port), (client) => client.ask("a")))
      yield* until(() => proxy.connections() === 1)
    })
  )

  it.live("refuses new connections while open ones go on", () =>
    Effect.gen(function* () {
      const { client, proxy } = yield* setting
      yield* proxy.refuse(true)
      const refused = yield* Effect.exit(Effect.flatMap(connect(proxy.port), (_) => _.ask("x")))
      assert.isTrue(Exit.isFailure(refused))
      assert.strictEqual(yield* client.ask("a"), "A")
      yield* proxy.refuse(false)
      assert.strictEqual(yield* (yield* connect(proxy.port)).ask("b"), "B")
    })
  )

  it.live("hangs with connections open, and then goes on where it stood", () =>
    Effect.gen(function* () {
      const { client, heard, proxy } = yield* setting
      yield* client.ask("a")
      yield* proxy.hang(true)
      const reply = yield* Effect.forkChild(client.ask("b"))
      yield* Effect.sleep("200 millis")
      assert.deepStrictEqual(heard, ["a"])
      assert.isUndefined(fibers.exitOf(reply))
      assert.isFalse(client.closed())
      yield* proxy.hang(false)
      assert.strictEqual(yield* Fiber.join(reply), "B")
    })
  )

  it.live("swallows replies of requests that arrived, on that connection for good", () =>
    Effect.gen(function* () {
      const { client, heard, proxy } = yield* setting
      yield* proxy.swallowReplies(true)
      const reply = yield* Effect.forkChild(client.ask("a"))
      yield* until(() => heard.length === 1)
      yield* proxy.swallowReplies(false)
      const another = yield* connect(proxy.port)
      assert.strictEqual(yield* another.ask("b"), "B")
      assert.isUndefined(fibers.exitOf(reply))
      assert.isFalse(client.closed())
      yield* proxy.cut
      assert.isTrue(Exit.isFailure(yield* Fiber.await(reply)))
    })
  )

  it.live("loses the next reply and no other", () =>
    Effect.gen(function* () {
      const { client, heard, proxy } = yield* setting
      yield* client.ask("a")
      yield* proxy.dropNextReply
      assert.isTrue(Exit.isFailure(yield* Effect.exit(client.ask("b"))))
      assert.deepStrictEqual(heard, ["a", "b"])
      assert.strictEqual(proxy.dropped(), 1)
      assert.strictEqual(yield* (yield* connect(proxy.port)).ask("c"), "C")
    })
  )

  it.live("delays, and keeps the order when the delay ends", () =>
    Effect.gen(function* () {
      const { client, heard, proxy } = yield* setting
      yield* proxy.delay(150)
      const [took] = yield* Effect.timed(client.ask("a"))
      assert.isAtLeast(Duration.toMillis(took), 149)
      const slow = yield* Effect.forkChild(client.ask("b"))
      yield* Effect.sleep("30 millis")
      yield* proxy.delay(0)
      const fast = yield* Effect.forkChild(client.ask("c"))
      yield* Fiber.join(slow)
      yield* Fiber.join(fast)
      assert.strictEqual(heard.join(""), "abc")
    })
  )

  it.live("ends what it has when its scope closes", () =>
    Effect.gen(function* () {
      const { target } = yield* echo
      const client = yield* Effect.scoped(
        Effect.gen(function* () {
          const proxy = yield* Proxy.make(target)
          const client = yield* connect(proxy.port)
          yield* client.ask("a")
          return client.closed
        })
      )
      yield* until(client)
    })
  )
})

describe("frames of the PostgreSQL protocol", () => {
  const message = (type: string, body: Buffer) => {
    const head = Buffer.alloc(4)
    head.writeInt32BE(body.length + 4)
    return Buffer.concat([Buffer.from(type), head, body])
  }
  const code = (number: number) => {
    const body = Buffer.alloc(4)
    body.writeInt32BE(number)
    return body
  }
  const sent = Buffer.concat([
    message("", code(80877103)),
    message("", Buffer.concat([code(196608), Buffer.from("user\0me\0\0")])),
    message("p", Buffer.from("SQSQ\0")),
    message("Q", Buffer.from("SELECT 'S'\0")),
    message("P", Buffer.from("\0SELECT 1\0\0\0")),
    message("B", Buffer.from("\0\0\0\0\0\0\0\0")),
    message("S", Buffer.alloc(0)),
    message("X", Buffer.alloc(0))
  ])

  it("counts a request once, in whatever pieces it comes", () => {
    for (let size = 1; size <= sent.length; size++) {
      const requests = Frames.requests()
      let count = 0
      for (let at = 0; at < sent.length; at += size) count += requests(sent.subarray(at, at + size))
      assert.strictEqual(count, 2, `in pieces of ${size}`)
    }
  })

  it("knows the end of a reply", () => {
    const ends = Frames.replyEnds()
    assert.isFalse(ends(message("C", Buffer.from("SELECT 1\0"))))
    const ready = message("Z", Buffer.from("I"))
    assert.isFalse(ends(ready.subarray(0, 3)))
    assert.isTrue(ends(ready.subarray(3)))
  })
})

await describeServer("the proxy before PostgreSQL", Shared.postgres, (server) => {
  const client = (port: number) =>
    Effect.acquireRelease(
      Effect.promise(async () => {
        const url = new URL(server.url)
        url.port = String(port)
        const client = new Pg.Client({ connectionString: url.toString() })
        client.on("error", () => {})
        await client.connect()
        return client
      }),
      (client) => Effect.promise(() => client.end().catch(() => {}))
    )

  it.live("counts one round trip a statement, with parameters or without", () =>
    Effect.gen(function* () {
      const proxy = yield* Proxy.make(server)
      const pg = yield* client(proxy.port)
      assert.strictEqual(proxy.roundTrips(), 0)
      yield* Effect.promise(() => pg.query("SELECT 1"))
      assert.strictEqual(proxy.roundTrips(), 1)
      yield* Effect.promise(() => pg.query("SELECT $1::text", ["S"]))
      yield* Effect.promise(() => pg.query({ name: "n", text: "SELECT $1::text", values: ["Q"] }))
      assert.strictEqual(proxy.roundTrips(), 3)
    })
  )

  it.live("a lost reply is that of a statement that was applied", () =>
    Effect.gen(function* () {
      const proxy = yield* Proxy.make(server)
      yield* server.admin("CREATE TABLE IF NOT EXISTS lost (i int)")
      const pg = yield* client(proxy.port)
      yield* proxy.dropNextReply
      const exit = yield* Effect.exit(
        Effect.tryPromise(() => pg.query("INSERT INTO lost VALUES ($1) RETURNING i", [1]))
      )
      assert.isTrue(Exit.isFailure(exit))
      assert.deepStrictEqual(yield* server.admin("SELECT i FROM lost"), [{ i: 1 }])
    })
  )
})
