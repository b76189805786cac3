/**
 * What stands where a SQL Server should, and does what a test tells it: refuse, hang, answer in odd shapes, fail over. It speaks the driver's protocol (TDS 7.4) and runs no SQL, so it shows
 * what the storage does of its own accord, and nothing of what a server does.
 */
import * as Effect from "#effect/Effect"
import type * as Scope from "#effect/Scope"
import * as Net from "node:net"
import { Duplex } from "node:stream"
import * as Tls from "node:tls"

export interface Login {
  readonly user: string
  readonly password: string
  readonly database: string
  readonly appName: string
  /** Of Microsoft Entra. */
  readonly token: string | undefined
  readonly readOnly: boolean
  readonly encrypted: boolean
}

export interface Session {
  /** Counts from 1. */
  readonly number: number
  readonly socket: Net.Socket
  login: Login | undefined
  database: string
  /** How many cancellations it was asked for. */
  attentions: number
}

export interface Asked {
  readonly session: Session
  /** `batch`: as the driver sends its settings; `call`: of `sp_executesql`. */
  readonly kind: "batch" | "call"
  readonly text: string
  readonly values: ReadonlyArray<unknown>
}

/** What is sent, or nothing at all, or the end of the connection. */
export type Answer = Buffer | "silence" | "close"

export interface Options {
  readonly login?: (login: Login, session: Session) => Answer
  readonly answer: (asked: Asked) => Answer
  /** A cancellation is acknowledged, unless told otherwise. */
  readonly attention?: (session: Session) => Answer
  /** What the server says of encryption: by default that it has none. */
  readonly encryption?: "unsupported" | "required"
  /** `wrapped` as in TDS 7.4, or from the first byte as in TDS 8. */
  readonly tls?: (Tls.SecureContextOptions & { readonly strict?: boolean }) | undefined
  /** Sent in place of the first answer. */
  readonly preLogin?: Buffer
}

export interface Server {
  readonly port: number
  readonly sessions: ReadonlyArray<Session>
  /** Those that are open. */
  readonly open: () => number
}

const u16 = (value: number) => {
  const bytes = Buffer.alloc(2)
  bytes.writeUInt16LE(value)
  return bytes
}
const u32 = (value: number) => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes
}
const ucs2 = (text: string) => Buffer.from(text, "utf16le")
const short = (text: string) => Buffer.concat([Buffer.from([text.length]), ucs2(text)])
const sized = (token: number, ...parts: ReadonlyArray<Buffer>) => {
  const body = Buffer.concat(parts)
  return Buffer.concat([Buffer.from([token]), u16(body.length), body])
}

export const done = (status = 0): Buffer => Buffer.concat([Buffer.from([0xfd]), u16(status), u16(0), Buffer.alloc(8)])
export const error = (number: number, message = `error ${number}`, severity = 16): Buffer =>
  sized(
    0xaa,
    u32(number),
    Buffer.from([1, severity]),
    u16(message.length),
    ucs2(message),
    short("server"),
    short(""),
    u32(1)
  )
export const databaseChange = (name: string): Buffer => sized(0xe3, Buffer.from([1]), short(name), short("master"))
export const loginAck: Buffer = sized(
  0xad,
  Buffer.from([1, 0x74, 0, 0, 4]),
  short("Microsoft SQL Server"),
  Buffer.from([16, 0, 0, 0])
)
export const failed = (number: number, message?: string, severity?: number): Buffer =>
  Buffer.concat([error(number, message, severity), done(2)])

export type Cell = string | number | Buffer | null

/** Rows of these columns. Texts are nvarchar, numbers bigint, bytes varbinary. */
export const rows = (
  columns: Readonly<Record<string, "text" | "number" | "bytes">>,
  ...all: ReadonlyArray<Readonly<Record<string, Cell>>>
): Buffer => {
  const entries = Object.entries(columns)
  const type = {
    text: Buffer.concat([Buffer.from([0xe7]), u16(8000), Buffer.alloc(5)]),
    number: Buffer.from([0x26, 8]),
    bytes: Buffer.concat([Buffer.from([0xa5]), u16(8000)])
  }
  const cell = (kind: keyof typeof type, value: Cell | undefined): Buffer => {
    if (kind === "number") {
      if (value === null || value === undefined) return Buffer.from([0])
      const bytes = Buffer.alloc(9, 8)
      bytes.writeBigInt64LE(BigInt(value as number), 1)
      return bytes
    }
    if (value === null || value === undefined) return u16(0xffff)
    const bytes = Buffer.isBuffer(value) ? value : ucs2(String(value))
    return Buffer.concat([u16(bytes.length), bytes])
  }
  return Buffer.concat([
    Buffer.from([0x81]),
    u16(entries.length),
    ...entries.map(([name, kind]) => Buffer.concat([u32(0), u16(1), type[kind], short(name)])),
    ...all.map((row) => Buffer.concat([Buffer.from([0xd1]), ...entries.map(([name, kind]) => cell(kind, row[name]))]))
  ])
}

const packet = (type: number, body: Buffer): Buffer => {
  const packets: Array<Buffer> = []
  for (let at = 0; at === 0 || at < body.length; at += 4088) {
    const part = body.subarray(at, at + 4088)
    const head = Buffer.from([type, at + 4088 >= body.length ? 1 : 0, 0, 0, 0, 0, 1, 0])
    head.writeUInt16BE(part.length + 8, 2)
    packets.push(head, part)
  }
  return Buffer.concat(packets)
}

/** Version and encryption. */
export const preLogin = (encryption: number): Buffer =>
  Buffer.from([0, 0, 11, 0, 6, 1, 0, 17, 0, 1, 0xff, 16, 0, 0, 0, 0, 0, encryption])

const loginOf = (body: Buffer, encrypted: boolean): Login => {
  const text = (at: number) =>
    body.subarray(body.readUInt16LE(at), body.readUInt16LE(at) + 2 * body.readUInt16LE(at + 2))
  const password = Buffer.from(text(44)).map((byte) => {
    const plain = byte ^ 0xa5
    return ((plain << 4) | (plain >> 4)) & 0xff
  })
  let token: string | undefined
  if ((body[27]! & 0x10) !== 0) {
    let at = body.readUInt32LE(body.readUInt16LE(56))
    while (body[at] !== 0xff) {
      if (body[at] === 2) token = body.subarray(at + 10, at + 10 + body.readUInt32LE(at + 6)).toString("utf16le")
      at += 5 + body.readUInt32LE(at + 1)
    }
  }
  return {
    user: text(40).toString("utf16le"),
    password: Buffer.from(password).toString("utf16le"),
    appName: text(48).toString("utf16le"),
    database: text(68).toString("utf16le"),
    token,
    readOnly: (body[26]! & 0x20) !== 0,
    encrypted
  }
}

/** The parameters of a call, each with its type. */
const valuesOf = (body: Buffer): ReadonlyArray<unknown> => {
  const values: Array<unknown> = []
  let at = body.readUInt32LE(0) + 6
  const take = (length: number) => body.subarray(at, (at += length))
  while (at < body.length) {
    take(1 + 2 * body[at]! + 1)
    const type = take(1)[0]!
    if (type === 0x26) {
      take(1)
      const length = take(1)[0]!
      const bytes = take(length)
      values.push(length === 0 ? null : length === 8 ? Number(bytes.readBigInt64LE()) : bytes.readIntLE(0, length))
      continue
    }
    const max = take(2).readUInt16LE()
    if (type === 0xe7) take(5)
    const parts: Array<Buffer> = []
    let absent = false
    if (max === 0xffff) {
      absent = take(8).every((byte) => byte === 0xff)
      for (let length = absent ? 0 : take(4).readUInt32LE(); length > 0; length = take(4).readUInt32LE())
        parts.push(take(length))
    } else {
      const length = take(2).readUInt16LE()
      absent = length === 0xffff
      if (!absent) parts.push(take(length))
    }
    const bytes = Buffer.concat(parts)
    values.push(absent ? null : type === 0xe7 ? bytes.toString("utf16le") : Buffer.from(bytes))
  }
  return values
}

const serve = (raw: Net.Socket, session: Session, options: Options) => {
  let wire: Duplex = raw
  let encrypted = false
  let handshake: ((bytes: Buffer) => void) | undefined
  const send = (answer: Answer, type = 4) => {
    if (answer === "close") raw.destroy()
    else if (answer !== "silence") wire.write(packet(type, answer))
  }

  const wrapped = (context: Tls.SecureContextOptions) => {
    let finished = false
    /** To each part of the driver's there is one answer. */
    let flight: Array<Buffer> = []
    const depart = () => {
      if (flight.length > 0) raw.write(packet(0x12, Buffer.concat(flight)))
      flight = []
    }
    const inner = new Duplex({
      read() {},
      write(chunk: Buffer, _, callback) {
        if (finished) raw.write(chunk)
        else if (flight.push(chunk) === 1) setImmediate(depart)
        callback()
      }
    })
    handshake = (bytes) => void inner.push(bytes)
    const secure = new Tls.TLSSocket(inner, { isServer: true, ...context })
    secure.on("error", () => raw.destroy())
    secure.on("secure", () =>
      setImmediate(() => {
        depart()
        finished = true
        encrypted = true
        handshake = undefined
        raw.removeAllListeners("data")
        raw.on("data", (bytes: Buffer) => inner.push(bytes))
        wire = secure
      })
    )
    listen(secure)
  }

  const heard = (type: number, body: Buffer) => {
    switch (type) {
      case 0x12: {
        if (handshake !== undefined) return handshake(body)
        const encryption = options.encryption ?? "unsupported"
        send(options.preLogin ?? preLogin(encryption === "required" ? 3 : 2), options.preLogin === undefined ? 4 : 4)
        if (encryption === "required" && options.tls !== undefined) wrapped(options.tls)
        return
      }
      case 0x10: {
        const login = loginOf(body, encrypted)
        session.login = login
        session.database = login.database === "" ? "master" : login.database
        return send(
          options.login?.(login, session) ?? Buffer.concat([databaseChange(session.database), loginAck, done()])
        )
      }
      case 1:
        return send(
          options.answer({
            session,
            kind: "batch",
            text: body.subarray(body.readUInt32LE(0)).toString("utf16le"),
            values: []
          })
        )
      case 3: {
        const [text, , ...values] = valuesOf(body)
        return send(options.answer({ session, kind: "call", text: String(text), values }))
      }
      case 6:
        session.attentions++
        return send(options.attention?.(session) ?? done(0x20))
    }
  }

  const listen = (from: Duplex) => {
    let rest = Buffer.alloc(0)
    let message = Buffer.alloc(0)
    from.on("data", (chunk: Buffer) => {
      rest = Buffer.concat([rest, chunk])
      while (rest.length >= 8 && rest.length >= rest.readUInt16BE(2)) {
        const length = rest.readUInt16BE(2)
        if (length < 8) return raw.destroy()
        message = Buffer.concat([message, rest.subarray(8, length)])
        const last = (rest[1]! & 1) === 1
        const type = rest[0]!
        rest = rest.subarray(length)
        if (!last) continue
        const body = message
        message = Buffer.alloc(0)
        heard(type, body)
      }
    })
  }

  if (options.tls?.strict === true) {
    const secure = new Tls.TLSSocket(raw, { isServer: true, ...options.tls, ALPNProtocols: ["tds/8.0"] })
    secure.on("error", () => raw.destroy())
    wire = secure
    encrypted = true
    listen(secure)
  } else {
    listen(raw)
  }
}

export const make = (options: Options): Effect.Effect<Server, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.callback<Server & { readonly close: Effect.Effect<void> }>((resume) => {
      const sessions: Array<Session> = []
      const sockets = new Set<Net.Socket>()
      const server = Net.createServer((socket) => {
        sockets.add(socket)
        socket.setNoDelay(true)
        socket.on("error", () => {}).on("close", () => sockets.delete(socket))
        const session: Session = { number: sessions.length + 1, socket, login: undefined, database: "", attentions: 0 }
        sessions.push(session)
        serve(socket, session, options)
      })
      server.listen(0, "127.0.0.1", () =>
        resume(
          Effect.succeed({
            port: (server.address() as Net.AddressInfo).port,
            sessions,
            open: () => sockets.size,
            close: Effect.callback<void>((resume) => {
              for (const socket of sockets) socket.destroy()
              server.close(() => resume(Effect.void))
            })
          })
        )
      )
    }),
    (server) => server.close
  )
