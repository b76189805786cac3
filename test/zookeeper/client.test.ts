/** The client of ZooKeeper by itself: its messages, one connection, and the servers in turn. */
import { assert, describe, it } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import * as Fiber from "#effect/Fiber"
import type * as Scope from "#effect/Scope"
import * as Net from "node:net"
import type { Answer } from "../../src/backends/zookeeper/client/connection.js"
import * as ensemble from "../../src/backends/zookeeper/client/ensemble.js"
import type { Failure } from "../../src/backends/zookeeper/client/failure.js"
import { frames, Reader, Writer } from "../../src/backends/zookeeper/client/jute.js"
import * as protocol from "../../src/backends/zookeeper/client/protocol.js"
import * as Proxy from "../harness/proxy.js"
import { describeServer, freePort } from "../harness/server.js"
import * as Shared from "../harness/shared.js"
import * as Zookeeper from "../harness/zookeeper.js"

type Server = { readonly host: string; readonly port: number }

const anyone = [{ permissions: 31, scheme: "world", id: "anyone" }]

const client = (
  servers: ReadonlyArray<Server>,
  more: Partial<ensemble.Options<Error>> & { readonly credentials?: ReadonlyArray<protocol.Credentials> } = {}
) =>
  ensemble.make<Error>({
    reach: () => Effect.succeed({ servers, tls: undefined, credentials: more.credentials ?? [] }),
    sessionTimeout: 10_000,
    confirm: () => Effect.void,
    passes: () => true,
    ...more
  })

const soon = (millis = 60_000) => performance.now() + millis

const kindOf = (answer: Answer<unknown> | undefined) =>
  answer?._tag === "Refused"
    ? answer.code
    : answer?._tag === "Lost" || answer?._tag === "Unsent"
      ? `${answer._tag} ${answer.failure.kind}`
      : answer?._tag

const value = <A>(answer: Answer<A> | undefined): A => {
  assert.strictEqual(answer?._tag, "Done")
  return (answer as Extract<Answer<A>, { readonly _tag: "Done" }>).value
}

describe("messages", () => {
  it("what is put in comes out, and frames come in any parts", () => {
    const bytes = Buffer.alloc(700, 7)
    const frame = new Writer()
      .int(-5)
      .long(-(2n ** 60n))
      .flag(true)
      .buffer(bytes)
      .text("é😀")
      .int(2)
      .text("a")
      .text("")
      .frame()
    const found: Array<Buffer> = []
    for (const size of [1, 3, 4, 5, 100, 5_000]) {
      const take = frames(1_000_000, (frame) => found.push(Buffer.from(frame)))
      const stream = Buffer.concat([frame, new Writer().frame(), frame])
      for (let at = 0; at < stream.length; at += size) take(stream.subarray(at, at + size))
    }
    assert.deepStrictEqual(
      found.map((each) => each.length),
      Array.from({ length: 6 }, () => [frame.length - 4, 0, frame.length - 4]).flat()
    )
    for (const each of found.filter(({ length }) => length > 0)) {
      const reader = new Reader(each)
      assert.deepStrictEqual(
        [reader.int(), reader.long(), reader.flag(), reader.buffer().equals(bytes), reader.text()],
        [-5, -(2n ** 60n), true, true, "é😀"]
      )
      assert.deepStrictEqual(
        reader.list(() => reader.text()),
        ["a", ""]
      )
      assert.throws(() => reader.int(), RangeError)
    }
  })

  it("lengths that none has are refused", () => {
    const take = () => frames(100, () => {})
    assert.throws(() => take()(Buffer.from("HTTP/1.1 400 Bad Request")), RangeError)
    assert.throws(() => take()(Buffer.from([255, 255, 255, 255])), RangeError)
    assert.throws(() => new Reader(Buffer.from([0, 0, 1, 0, 1])).buffer(), RangeError)
    const list = new Reader(Buffer.from([0x7f, 255, 255, 255, 1]))
    assert.throws(() => list.list(() => list.int()), RangeError)
  })
})

await describeServer("on ZooKeeper 3.9", Shared.zookeeper, (server) => {
  it.live("creates, changes by version 0 and no other, reads, lists, in the order that was asked", () =>
    Effect.gen(function* () {
      const root = yield* server.freshRoot
      const { send } = yield* client([server])
      const all = yield* send(
        [
          protocol.create(root, Buffer.from("r"), anyone),
          protocol.create(root, Buffer.from("r"), anyone),
          protocol.create(`${root}/a/b`, Buffer.from("b"), anyone),
          protocol.create(`${root}/a`, Buffer.from("0"), anyone),
          protocol.setData(`${root}/a`, Buffer.from("1"), 1),
          protocol.setData(`${root}/a`, Buffer.from("1"), 0),
          protocol.setData(`${root}/a`, Buffer.from("2"), 0),
          protocol.setData(`${root}/none`, Buffer.from("1"), 0),
          protocol.getData(`${root}/a`),
          protocol.getData(`${root}/none`),
          protocol.sync(root),
          protocol.getChildren(root),
          protocol.create("no path", Buffer.alloc(0), anyone)
        ],
        soon()
      )
      assert.deepStrictEqual(all.map(kindOf), [
        "Done",
        -110,
        -101,
        "Done",
        -103,
        "Done",
        -103,
        -101,
        "Done",
        -101,
        "Done",
        "Done",
        -8
      ])
      const { data, stat } = value(all[8] as Answer<protocol.Node>)
      assert.deepStrictEqual([data.toString(), stat.version], ["1", 1])
      assert.strictEqual(stat.czxid, value(all[3] as Answer<protocol.Stat>).czxid)
      assert.isAbove(stat.mzxid, stat.czxid)
      assert.deepStrictEqual(value(all[11]), ["a"])
    })
  )

  it.live("more than may be under way at once, each with its own answer", () =>
    Effect.gen(function* () {
      const root = yield* server.freshRoot
      const { send } = yield* client([server])
      yield* send([protocol.create(root, Buffer.alloc(0), anyone)], soon())
      const names = Array.from({ length: 350 }, (_, i) => `${root}/${i}`)
      yield* send(
        names.map((name) => protocol.create(name, Buffer.from(name), anyone)),
        soon()
      )
      const found = yield* Effect.forEach([0, 1, 2], () => send(names.map(protocol.getData), soon()), {
        concurrency: "unbounded"
      })
      for (const each of found)
        assert.deepStrictEqual(
          each.map((answer) => value(answer as Answer<protocol.Node>).data.toString()),
          names
        )
    })
  )

  it.live("who we are decides what we may", () =>
    Effect.gen(function* () {
      const root = yield* server.freshRoot
      const digest = (value: string) => ({ scheme: "digest", value: Buffer.from(value) })
      const mine = [{ permissions: 31, scheme: "auth", id: "" }]
      const me = yield* client([server], { credentials: [digest("me:sesame")] })
      const other = yield* client([server], { credentials: [digest("me:wrong")] })
      const nobody = yield* client([server])
      const make = protocol.create(root, Buffer.alloc(0), mine)
      assert.deepStrictEqual((yield* nobody.send([make], soon())).map(kindOf), [-114])
      assert.deepStrictEqual((yield* me.send([make], soon())).map(kindOf), ["Done"])
      for (const { send } of [other, nobody])
        assert.deepStrictEqual(
          (yield* send([protocol.getData(root), protocol.setData(root, Buffer.alloc(1), 0)], soon())).map(kindOf),
          [-102, -102]
        )
      assert.deepStrictEqual((yield* me.send([protocol.getData(root)], soon())).map(kindOf), ["Done"])
      const unknown = yield* client([server], { credentials: [{ scheme: "nonsense", value: Buffer.from("x") }] })
      assert.strictEqual(((yield* Effect.flip(unknown.send([protocol.getData(root)], soon()))) as Failure).kind, "auth")
    })
  )

  it.live("a watch tells every change below, with its count, and ends with its connection", () =>
    Effect.gen(function* () {
      const root = yield* server.freshRoot
      const proxy = yield* Proxy.make(server, { protocol: Zookeeper.protocol })
      const { send } = yield* client([server])
      yield* send([protocol.create(root, Buffer.alloc(0), anyone)], soon())
      const events: Array<protocol.Event> = []
      const { listen } = yield* client([{ host: "127.0.0.1", port: proxy.port }])
      const failure = yield* Effect.flip(
        listen(
          (on, until) =>
            Effect.gen(function* () {
              yield* on([protocol.addRecursiveWatch(root)], until)
              yield* send(
                [
                  protocol.create(`${root}/a`, Buffer.alloc(0), anyone),
                  protocol.setData(`${root}/a`, Buffer.alloc(1), 0),
                  protocol.setData(`${root}/a`, Buffer.alloc(1), 0),
                  protocol.setData(`${root}/a`, Buffer.alloc(1), 1)
                ],
                soon()
              )
            }),
          (event) => {
            events.push(event)
            if (events.length === 3) Effect.runSync(proxy.cut)
          },
          60_000
        )
      )
      assert.strictEqual((failure as Failure).kind, "lost")
      assert.deepStrictEqual(
        events.map(({ changed, path }) => [changed, path]),
        [1, 2, 3].map(() => [true, `${root}/a`])
      )
      assert.isTrue(events[0]!.zxid < events[1]!.zxid && events[1]!.zxid < events[2]!.zxid)
    })
  )

  it.live("dead, hanging and refusing servers are passed over; a lost connection is opened again", () =>
    Effect.gen(function* () {
      const root = yield* server.freshRoot
      const dead = { host: "127.0.0.1", port: yield* freePort }
      const proxy = yield* Proxy.make(server, { protocol: Zookeeper.protocol })
      const through = { host: "127.0.0.1", port: proxy.port }
      yield* proxy.hang(true)
      const { send } = yield* client([dead, through, server])
      const make = protocol.create(root, Buffer.alloc(0), anyone)
      assert.deepStrictEqual((yield* send([make], soon(6_000))).map(kindOf), ["Done"])
      yield* proxy.hang(false)
      const one = yield* client([through])
      assert.deepStrictEqual((yield* one.send([make], soon())).map(kindOf), [-110])
      yield* proxy.dropNextReply
      assert.deepStrictEqual((yield* one.send([protocol.setData(root, Buffer.alloc(1), 0)], soon())).map(kindOf), [
        "Lost lost"
      ])
      const [found] = yield* one.send([protocol.getData(root)], soon())
      assert.strictEqual(value(found as Answer<protocol.Node>).stat.version, 1)
      // Without a word it is given up once somebody has waited in vain.
      const before = proxy.accepted()
      yield* proxy.halfOpen
      assert.deepStrictEqual((yield* one.send([protocol.getData(root)], soon(300))).map(kindOf), ["Lost silent"])
      assert.deepStrictEqual((yield* one.send([protocol.getData(root)], soon())).map(kindOf), ["Done"])
      assert.strictEqual(proxy.accepted(), before + 1)
    })
  )
})

/** A server that is none: each connection is handed to `on`, with the frames that come. */
const fake = (on: (frame: Buffer, socket: Net.Socket) => void): Effect.Effect<Server, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.callback<{ readonly listener: Net.Server; readonly sockets: Set<Net.Socket> }>((resume) => {
        const sockets = new Set<Net.Socket>()
        const listener = Net.createServer((socket) => {
          sockets.add(socket)
          const take = frames(1_000_000, (frame) => on(frame, socket))
          socket.on("data", take).on("error", () => {})
        })
        listener.listen(0, "127.0.0.1", () => resume(Effect.succeed({ listener, sockets })))
      }),
      ({ listener, sockets }) =>
        Effect.sync(() => {
          listener.close()
          sockets.forEach((socket) => socket.destroy())
        })
    ),
    ({ listener }) => ({ host: "127.0.0.1", port: (listener.address() as Net.AddressInfo).port })
  )

const isHello = (frame: Buffer) => frame.length === 45
const sessionOf = (hello: Buffer) => new Reader(hello.subarray(16)).long()
const welcome = (session: bigint, timeout = 10_000) =>
  new Writer().int(0).int(timeout).long(session).buffer(Buffer.alloc(16, 1)).flag(false).frame()
const reply = (to: Buffer, code = 0) => new Writer().int(to.readInt32BE(0)).long(7n).int(code).frame()
const request = protocol.sync("/")

describe("sessions", () => {
  it.live("go from connection to connection, and are begun again only when the server says that they are over", () =>
    Effect.gen(function* () {
      const asked: Array<bigint> = []
      let expired = false
      const server = yield* fake((frame, socket) => {
        if (!isHello(frame)) {
          if (frame.readInt32BE(4) === request.type) socket.write(reply(frame), () => socket.destroy())
          return
        }
        const session = sessionOf(frame)
        asked.push(session)
        socket.write(
          session !== 0n && expired ? welcome(0n, 0) : welcome(session === 0n ? BigInt(asked.length) : session)
        )
      })
      const { send } = yield* client([server])
      yield* send([request], soon())
      yield* Effect.retry(send([request], soon()).pipe(Effect.filterOrFail(([one]) => kindOf(one) === "Done")), {
        times: 20
      })
      expired = true
      yield* Effect.retry(send([request], soon()).pipe(Effect.filterOrFail(([one]) => kindOf(one) === "Done")), {
        times: 20
      })
      assert.deepStrictEqual(
        [...new Set(asked)].map((session) => Number(session)),
        [0, 1]
      )
      assert.deepStrictEqual([asked[0], asked[1], asked[asked.length - 1]], [0n, 1n, 0n])
    })
  )

  it.live("one that is no more this connection's is told, and the connection is left", () =>
    Effect.gen(function* () {
      let code = -118
      let hellos = 0
      const server = yield* fake((frame, socket) => {
        if (isHello(frame)) {
          hellos++
          socket.write(welcome(5n))
        } else if (frame.readInt32BE(4) === request.type) socket.write(reply(frame, code))
      })
      const { send } = yield* client([server])
      assert.deepStrictEqual((yield* send([request, request], soon())).map(kindOf), [-118, "Lost lost"])
      code = 0
      assert.deepStrictEqual((yield* send([request], soon())).map(kindOf), ["Done"])
      assert.strictEqual(hellos, 2)
    })
  )
})

describe("what is no server of ZooKeeper", () => {
  const failing = (on: (frame: Buffer, socket: Net.Socket) => void, millis?: number) =>
    Effect.gen(function* () {
      const { send } = yield* client([yield* fake(on)])
      const result = yield* Effect.result(send([request], soon(millis)))
      return result._tag === "Failure" ? (result.failure as Failure).kind : kindOf(result.success[0])
    })

  it.live("is told for what it does", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* failing((_, socket) => socket.write("HTTP/1.1 400 Bad Request\r\n\r\n")), "odd")
      assert.strictEqual(yield* failing((_, socket) => socket.end()), "refused")
      assert.strictEqual(yield* failing(() => {}, 200), "silent")
      assert.strictEqual(yield* failing((_, socket) => socket.write(welcome(0n, 0))), "odd")
      const answering = (bytes: (frame: Buffer) => Buffer) =>
        failing((frame, socket) => socket.write(isHello(frame) ? welcome(1n) : bytes(frame)))
      assert.strictEqual(yield* answering(() => new Writer().int(99).long(1n).int(0).frame()), "Lost odd")
      assert.strictEqual(yield* answering(() => new Writer().int(1).frame()), "Lost odd")
      assert.strictEqual(yield* answering((frame) => reply(frame)), "Done")
      const { send } = yield* client([{ host: "127.0.0.1", port: yield* freePort }])
      assert.strictEqual(((yield* Effect.flip(send([request], soon()))) as Failure).kind, "connect")
    })
  )

  it.live("what is interrupted before it left never does", () =>
    Effect.gen(function* () {
      const got: Array<number> = []
      let answer = () => {}
      const server = yield* fake((frame, socket) => {
        if (isHello(frame)) return void socket.write(welcome(1n))
        got.push(frame.readInt32BE(4))
        const before = answer
        answer = () => {
          before()
          socket.write(reply(frame))
        }
      })
      const { send } = yield* client([server])
      // All that may be under way at once.
      const first = yield* Effect.forkChild(
        send(
          Array.from({ length: 100 }, () => request),
          soon()
        )
      )
      yield* Effect.repeat(Effect.sleep("5 millis"), { until: () => got.length === 100 })
      const late = yield* send([protocol.getChildren("/")], soon(50))
      assert.deepStrictEqual(late.map(kindOf), ["Unsent silent"])
      answer()
      yield* Fiber.join(first)
      // What comes after it gets there.
      const last = yield* Effect.forkChild(send([protocol.sync("/a")], soon()))
      yield* Effect.repeat(Effect.sleep("5 millis"), { until: () => got.length > 100 })
      answer()
      yield* Fiber.join(last)
      assert.isFalse(got.includes(8))
    })
  )
})
