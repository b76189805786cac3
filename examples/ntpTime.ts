/**
 * Leases that end by the time of an NTP server, over a store that has no clock. Needs `NTP_SERVER`: one of your own network, as `host` or `host:port`; public servers are for clocks, not for programs. What it costs in
 * safety: docs/time-providers.md.
 */
import { DateTime, Effect, Layer } from "effect"
import { MemoryStorage, StorageLock, type TimeProvider, VersionedStore } from "effect-storage-lock"
import { randomBytes } from "node:crypto"
import { createSocket } from "node:dgram"

/** From 1900 to 1970, in seconds. */
const epoch = 2_208_988_800

/** As the server says of itself: how far its clock may be off, in milliseconds. Beyond that it is not believed. */
const accuracy = 100

/** Milliseconds, of an answer to just this question. */
const read = (answer: Buffer, cookie: Buffer): number => {
  const seconds = (at: number) => answer.readUInt32BE(at) + answer.readUInt32BE(at + 4) / 2 ** 32
  if (answer.length < 48 || (answer[0]! & 7) !== 4 || !answer.subarray(24, 32).equals(cookie))
    throw new Error("no answer to this question")
  // It says of itself that it does not know the time, or that it has been asked too often.
  if (answer[0]! >> 6 === 3 || answer[1]! < 1 || answer[1]! > 15) throw new Error("the server does not know the time")
  const off = (answer.readUInt32BE(4) / 2 + answer.readUInt32BE(8)) / 65.536
  if (off > accuracy) throw new Error(`the server may be ${Math.ceil(off)} ms off`)
  return (seconds(40) - epoch) * 1000
}

const ask = (host: string, port: number): Promise<number> =>
  new Promise<number>((resolve, reject) => {
    const socket = createSocket("udp4")
    const end = (self: () => void) => {
      clearTimeout(timer)
      socket.close()
      self()
    }
    const timer = setTimeout(() => end(() => reject(new Error("no answer"))), 2_000)
    // What nobody can guess who does not see the question.
    const cookie = randomBytes(8)
    const question = Buffer.alloc(48)
    question[0] = 0x23
    cookie.copy(question, 40)
    socket.once("error", (error) => end(() => reject(error)))
    socket.once("message", (answer) =>
      end(() => {
        try {
          resolve(read(answer, cookie))
        } catch (error) {
          reject(error)
        }
      })
    )
    // Connected, so that nobody else is heard.
    socket.connect(port, host, () => socket.send(question))
  })

const [host = "", port = "123"] = (process.env.NTP_SERVER ?? "").split(":")

const time: TimeProvider.TimeProvider = { name: "the time server", now: () => ask(host, Number(port)), accuracy }

const Locks = StorageLock.layer({ leaseExpireAfter: "30 seconds" }).pipe(
  Layer.provide(VersionedStore.layerStorage()),
  // Not asked more than twice in a minute.
  Layer.provide(VersionedStore.layerWithTime(time, { maxAge: "30 seconds", timeout: "2 seconds" })),
  Layer.provide(Layer.effect(VersionedStore.VersionedStore, MemoryStorage.makeVersioned({ time: "none" })))
)

const program = Effect.gen(function* () {
  const lock = yield* StorageLock.acquire("nightly-report")
  const info = yield* lock.info
  console.log(
    `${info.lockId} is held by the time of the server: ${DateTime.toEpochMillis(info.lockBeginTime) > Date.UTC(2020, 0)}`
  )
}).pipe(Effect.scoped)

await Effect.runPromise(program.pipe(Effect.provide(Locks)))
