/** Whoever stands between the library and Cassandra, and may answer statements by itself, with the errors of the native protocol (version 4). */
import * as Effect from "#effect/Effect"
import type * as Scope from "#effect/Scope"
import * as Net from "node:net"
import type * as Instance from "../harness/instance.js"

export interface Told {
  readonly code: number
  /** The server has done it, and its answer is put away. Otherwise it is told nothing. */
  readonly done?: boolean | undefined
  /** Of the level of its error, in place of SERIAL. */
  readonly level?: number | undefined
}

/** What becomes of a statement about a table of the program's. `silent`: nothing comes back. */
export type Rule = (text: string) => "pass" | "silent" | Told

export interface StandIn {
  /** Of Cassandra, by way of this one. */
  readonly url: (of: string) => string
  rule: Rule
  /** The first word of each statement since the last time. */
  readonly asked: () => ReadonlyArray<string>
}

const headLength = 9
const opcodes = { error: 0x00, query: 0x07 }

const short = (value: number) => {
  const bytes = Buffer.alloc(2)
  bytes.writeUInt16BE(value)
  return bytes
}
const int = (value: number) => {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value)
  return bytes
}
const string = (value: string) => Buffer.concat([short(Buffer.byteLength(value)), Buffer.from(value)])

/** What an error of this code says besides. */
const details = (code: number, level: number): ReadonlyArray<Buffer> => {
  const told = [short(level), int(1), int(2)]
  switch (code) {
    case 0x1000:
      return told
    case 0x1100:
      return [...told, string("CAS")]
    case 0x1200:
      return [...told, Buffer.of(0)]
    case 0x1300:
      return [...told, int(1), Buffer.of(0)]
    case 0x1400:
      return [string("ks"), string("f"), short(0)]
    case 0x1500:
      return [...told, int(1), string("CAS")]
    case 0x2400:
      return [string("ks"), string("t")]
    case 0x2500:
      return [short(1), Buffer.of(7)]
    default:
      return []
  }
}

const errorFrame = (stream: number, { code, level = 8 }: Told): Buffer => {
  const body = Buffer.concat([int(code), string("said by a stand-in"), ...details(code, level)])
  const head = Buffer.alloc(headLength)
  head[0] = 0x84
  head.writeInt16BE(stream, 2)
  head[4] = opcodes.error
  head.writeInt32BE(body.length, 5)
  return Buffer.concat([head, body])
}

const frames = (each: (stream: number, opcode: number, frame: Buffer) => void) => {
  let rest: Buffer = Buffer.alloc(0)
  return (chunk: Buffer) => {
    rest = Buffer.concat([rest, chunk])
    while (rest.length >= headLength) {
      const length = headLength + rest.readInt32BE(5)
      if (rest.length < length) break
      each(rest.readInt16BE(2), rest[4]!, rest.subarray(0, length))
      rest = rest.subarray(length)
    }
  }
}

export const make = (server: Instance.Address): Effect.Effect<StandIn, never, Scope.Scope> =>
  Effect.gen(function* () {
    let words: Array<string> = []
    const sockets = new Set<Net.Socket>()
    const self = { rule: (() => "pass") as Rule }

    const accept = (client: Net.Socket) => {
      const behind = Net.connect(server)
      /** By their streams: what is told in place of what the server says. */
      const replaced = new Map<number, Told | "silent">()
      for (const socket of [client, behind]) {
        sockets.add(socket)
        socket.setNoDelay(true)
        socket.on("error", () => {})
        socket.on("close", () => {
          sockets.delete(socket)
          client.destroy()
          behind.destroy()
        })
      }
      client.on(
        "data",
        frames((stream, opcode, frame) => {
          const text =
            opcode === opcodes.query
              ? frame.subarray(headLength + 4, headLength + 4 + frame.readInt32BE(headLength)).toString("utf8")
              : undefined
          if (text === undefined || /\bsystem(_\w+)?\./.test(text)) return behind.write(frame)
          words.push(text.split(" ", 1)[0]!)
          const told = self.rule(text)
          if (told === "pass") return behind.write(frame)
          if (told === "silent") return
          if (told.done !== true) return client.write(errorFrame(stream, told))
          replaced.set(stream, told)
          behind.write(frame)
        })
      )
      behind.on(
        "data",
        frames((stream, _, frame) => {
          const told = replaced.get(stream)
          replaced.delete(stream)
          client.write(told === undefined || told === "silent" ? frame : errorFrame(stream, told))
        })
      )
    }

    const listener = yield* Effect.acquireRelease(
      Effect.callback<Net.Server>((resume) => {
        const listener = Net.createServer(accept)
        listener.listen(0, "127.0.0.1", () => resume(Effect.succeed(listener)))
      }),
      (listener) =>
        Effect.sync(() => {
          listener.close()
          for (const socket of sockets) socket.destroy()
        })
    )
    const { port } = listener.address() as Net.AddressInfo
    return Object.assign(self, {
      url: (of: string) => {
        const url = new URL(of)
        url.hostname = "127.0.0.1"
        url.port = String(port)
        return url.toString()
      },
      asked: () => {
        const before = words
        words = []
        return before
      }
    })
  })
