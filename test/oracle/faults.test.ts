/** What the storage makes of a listener that is none, or none that can be used: the real driver, before listeners of the test's own. */
import { assert, describe, it } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Net from "node:net"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import * as OracleStorage from "../../src/backends/oracle/OracleStorage.js"
import type { StorageError } from "../../src/LockError.js"
import { freePort } from "../harness/server.js"

interface Listener {
  readonly port: number
  readonly sockets: ReadonlySet<Net.Socket>
  readonly accepted: () => number
}

/** `answer` is given what the client says first. */
const listener = (answer: (socket: Net.Socket, said: Buffer) => void) =>
  Effect.acquireRelease(
    Effect.callback<Listener & { readonly stop: () => void }>((resume) => {
      const sockets = new Set<Net.Socket>()
      let accepted = 0
      const server = Net.createServer((socket) => {
        accepted++
        sockets.add(socket)
        socket.on("error", () => {})
        socket.on("close", () => sockets.delete(socket))
        socket.on("data", (said) => answer(socket, said))
      })
      server.listen(0, "127.0.0.1", () =>
        resume(
          Effect.succeed({
            port: (server.address() as Net.AddressInfo).port,
            sockets,
            accepted: () => accepted,
            stop: () => {
              server.close()
              for (const socket of sockets) socket.destroy()
            }
          })
        )
      )
    }),
    ({ stop }) => Effect.sync(stop)
  )

/** A listener's refusal, with the number that says why. */
const refusal = (number: number): Buffer => {
  const text = Buffer.from(
    `(DESCRIPTION=(TMP=)(VSNNUM=0)(ERR=${number})(ERROR_STACK=(ERROR=(CODE=${number})(EMFI=4))))`
  )
  const head = Buffer.alloc(12)
  head.writeUInt16BE(text.length + 12, 0)
  head.writeUInt8(4, 4)
  head.writeUInt16BE(text.length, 10)
  return Buffer.concat([head, text])
}

/** The kind of a packet by which a client asks to be let in. */
const connect = 1

/** Lets a client in, as a server of 19c does. */
const acceptance = (() => {
  const packet = Buffer.alloc(45)
  packet.writeUInt16BE(45, 0)
  packet.writeUInt8(2, 4)
  packet.writeUInt16BE(318, 8)
  packet.writeUInt16BE(8192, 12)
  packet.writeUInt16BE(8192, 14)
  packet.writeUInt16BE(1, 16)
  packet.writeUInt16BE(45, 20)
  // Without a negotiation of encryption by the server's own means, which has a limit of its own.
  packet.writeUInt8(4, 22)
  packet.writeUInt32BE(8192, 32)
  packet.writeUInt32BE(2097152, 36)
  return packet
})()

const at = (port: number, path = "app"): Redacted.Redacted =>
  Redacted.make(`oracle://app:secret@127.0.0.1:${port}/${path}`)

const refused = (options: OracleStorage.Options) =>
  Effect.map(Effect.flip(Effect.scoped(OracleStorage.make({ operationTimeout: "2 seconds", ...options }))), (error) => {
    assert(error._tag === "StorageError", error.message)
    return error
  })

const told = ({ applied, isRetryable, reason }: StorageError) => [reason, isRetryable, applied]

describe("a listener that does not let the storage in", () => {
  it.live("nothing listens", () =>
    Effect.gen(function* () {
      const error = yield* refused({ url: at(yield* freePort) })
      assert.deepStrictEqual(told(error), ["Connection", true, "no"])
      assert.include(error.message, "is the server up")
    })
  )

  it.live("a host that nobody knows", () =>
    Effect.gen(function* () {
      const error = yield* refused({ url: Redacted.make("oracle://app:secret@no-such-host.invalid/app") })
      assert.deepStrictEqual(told(error), ["Connection", true, "no"])
      assert.notInclude(error.message, "secret")
    })
  )

  it.live("it hangs: told within the limit, and nothing of it stays open when the layer closes", () =>
    Effect.gen(function* () {
      const hung = yield* listener(() => {})
      const error = yield* refused({ url: at(hung.port), operationTimeout: "600 millis" })
      assert.deepStrictEqual(told(error), ["Timeout", true, "no"])
      while (hung.sockets.size > 0) yield* Effect.sleep(20)
    })
  )

  it.live("it lets the storage in, and then the server hangs: the same", () =>
    Effect.gen(function* () {
      const hung = yield* listener((socket, said) => {
        if (said[4] === connect) socket.write(acceptance)
      })
      const error = yield* refused({ url: at(hung.port), operationTimeout: "600 millis" })
      assert.deepStrictEqual(told(error), ["Timeout", true, "no"])
      while (hung.sockets.size > 0) yield* Effect.sleep(20)
      // The driver has a last word for each connection when its memory is collected, which ends the process if it throws.
      const thrown: Array<unknown> = []
      const hear = (error: unknown) => void thrown.push(error)
      process.on("uncaughtExceptionMonitor", hear)
      setFlagsFromString("--expose-gc")
      const collect = runInNewContext("gc") as () => void
      for (let i = 0; i < 5; i++) {
        collect()
        yield* Effect.sleep(20)
      }
      process.off("uncaughtExceptionMonitor", hear)
      assert.deepStrictEqual(thrown, [])
    })
  )

  it.live("it closes at once, or in the middle, or says what is no answer", () =>
    Effect.gen(function* () {
      for (const answer of [
        (socket: Net.Socket) => void socket.end(),
        (socket: Net.Socket) => void socket.destroy(),
        (socket: Net.Socket) => void socket.end(Buffer.from("HTTP/1.1 400 Bad Request\r\n\r\n")),
        // The head of an acceptance, and no more.
        (socket: Net.Socket) => void socket.end(Buffer.from([0, 40, 0, 0, 2, 0, 0, 0, 1, 60]))
      ]) {
        const odd = yield* listener(answer)
        const error = yield* refused({ url: at(odd.port) })
        assert.strictEqual(error.applied, "no")
        assert.include(["Connection", "Timeout"], error.reason)
        assert.isTrue(error.isRetryable)
      }
    })
  )

  it.live("it does not know the service", () =>
    Effect.gen(function* () {
      const known = yield* listener((socket) => void socket.end(refusal(12514)))
      const error = yield* refused({ url: at(known.port, "a") })
      assert.deepStrictEqual(told(error), ["Connection", true, "no"])
      assert.include(error.message, "the listener does not know the service")
    })
  )

  it.live("it has no place for more", () =>
    Effect.gen(function* () {
      const full = yield* listener((socket) => void socket.end(refusal(12516)))
      assert.deepStrictEqual(told(yield* refused({ url: at(full.port) })), ["Connection", true, "no"])
    })
  )
})

describe("what is asked for at each connection", () => {
  it.live("a password is asked for again, and one that cannot be had is a failure to connect", () =>
    Effect.gen(function* () {
      const closing = yield* listener((socket) => socket.destroy())
      let asked = 0
      const url = Redacted.make(`oracle://app@127.0.0.1:${closing.port}/app`)
      const password = () => {
        asked++
        if (asked > 1) throw new Error("the vault is sealed")
        return Redacted.make("secret")
      }
      yield* refused({ url, password })
      const error = yield* refused({ url, password })
      assert.deepStrictEqual(told(error), ["Connection", true, "no"])
      assert.include(error.message, "the vault is sealed")
      assert.strictEqual(asked, 2)
    })
  )

  it.live("what is asked for and never told ends within the limit", () =>
    Effect.gen(function* () {
      const error = yield* refused({
        url: Redacted.make("oracle://app@127.0.0.1:1/app"),
        password: Effect.never,
        operationTimeout: "200 millis"
      })
      assert.deepStrictEqual(told(error), ["Timeout", true, "no"])
    })
  )
})
