/**
 * Members of a replica set as a driver sees them over the wire, each of which answers as a test says: for failovers, logins and answers that no server to be had can make. What it
 * evaluates is what `mongoEvaluator` does.
 */
import * as Effect from "#effect/Effect"
import type * as Scope from "#effect/Scope"
import { BSON } from "mongodb"
import * as Net from "node:net"

export type Document = Record<string, any>

/** Nothing: the connection is closed. */
export type Answer = (command: Document) => Document | undefined | Promise<Document | undefined>

export interface Member {
  readonly port: number
  /** The names of the commands that came, less those of connecting and watching. */
  readonly heard: Array<string>
  /** Ends all connections, as a server does that goes away. */
  readonly cut: () => void
}

const opQuery = 2004
const opMessage = 2013
const head = 16

const reply = (kind: number, to: number, document: Document): Buffer => {
  const body = BSON.serialize(document)
  // OP_MSG: flags and the kind of a section. OP_REPLY: flags, cursor, start and count.
  const before = kind === opMessage ? Buffer.alloc(5) : Buffer.alloc(20)
  if (kind !== opMessage) before.writeInt32LE(1, 16)
  const header = Buffer.alloc(head)
  header.writeInt32LE(head + before.length + body.length, 0)
  header.writeInt32LE(to, 8)
  header.writeInt32LE(kind === opMessage ? opMessage : 1, 12)
  return Buffer.concat([header, before, body])
}

const request = (frame: Buffer): Document => {
  const kind = frame.readInt32LE(12)
  // After the flags: one section of kind 0. Or: flags, the collection's name, skip and limit.
  const from = kind === opMessage ? head + 5 : frame.indexOf(0, head + 4) + 1 + 8
  return BSON.deserialize(frame.subarray(from, from + frame.readInt32LE(from)))
}

const quiet = new Set(["hello", "ismaster", "isMaster", "saslStart", "endSessions", "ping"])

export const member = (answer: Answer): Effect.Effect<Member, never, Scope.Scope> =>
  Effect.gen(function* () {
    const heard: Array<string> = []
    const sockets = new Set<Net.Socket>()
    const server = Net.createServer((socket) => {
      sockets.add(socket)
      let rest: Buffer = Buffer.alloc(0)
      socket.on("error", () => {})
      socket.on("close", () => sockets.delete(socket))
      socket.on("data", (chunk: Buffer) => {
        rest = Buffer.concat([rest, chunk])
        while (rest.length >= 4 && rest.length >= rest.readInt32LE(0)) {
          const frame = rest.subarray(0, rest.readInt32LE(0))
          rest = rest.subarray(frame.length)
          const command = request(frame)
          const name = Object.keys(command)[0]!
          if (!quiet.has(name)) heard.push(name)
          void Promise.resolve(answer(command)).then((document) => {
            if (document === undefined) socket.destroy()
            else
              socket.write(
                reply(frame.readInt32LE(12) === opQuery ? opQuery : opMessage, frame.readInt32LE(4), document)
              )
          })
        }
      })
    })
    const cut = () => sockets.forEach((socket) => socket.destroy())
    yield* Effect.acquireRelease(
      Effect.callback<void>((resume) => void server.listen(0, "127.0.0.1", () => resume(Effect.void))),
      () =>
        Effect.callback<void>((resume) => {
          server.close(() => resume(Effect.void))
          cut()
        })
    )
    return { port: (server.address() as Net.AddressInfo).port, heard, cut }
  })

/** What a member says of itself. */
export const hello = (port: number, primary: boolean, hosts: ReadonlyArray<string>): Document => ({
  ok: 1,
  helloOk: true,
  ...(primary
    ? { ismaster: true, isWritablePrimary: true }
    : { ismaster: false, isWritablePrimary: false, secondary: true }),
  me: `127.0.0.1:${port}`,
  setName: "rs0",
  setVersion: 1,
  hosts,
  minWireVersion: 0,
  maxWireVersion: 21,
  maxBsonObjectSize: 16_777_216,
  maxMessageSizeBytes: 48_000_000,
  maxWriteBatchSize: 100_000,
  localTime: new Date()
})
