/** One connection with its session: requests one behind the other, answered in that order. By callbacks, so that nothing stands between a request and the socket. */
import * as Net from "node:net"
import * as Tls from "node:tls"
import { Failure, of as failureOf } from "./failure.js"
import { frames, Reader } from "./jute.js"
import * as protocol from "./protocol.js"

export interface Server {
  readonly host: string
  readonly port: number
}

export interface Settings {
  readonly server: Server
  /** Speaks TLS, with these certificates. */
  readonly tls: Tls.SecureContextOptions | undefined
  readonly credentials: ReadonlyArray<protocol.Credentials>
  readonly session: protocol.Session
  /** How long the server shall keep the session without a word of ours, in milliseconds. It has bounds of its own. */
  readonly timeout: number
}

/**
 * - `Done`: with the server's count of changes at that time.
 * - `Refused`: with one of `protocol.code`.
 * - `Lost`: it was sent, and there is no answer.
 * - `Unsent`: it never left.
 */
export type Answer<A> =
  | { readonly _tag: "Done"; readonly zxid: number; readonly value: A }
  | { readonly _tag: "Refused"; readonly zxid: number; readonly code: number }
  | { readonly _tag: "Lost"; readonly failure: Failure }
  | { readonly _tag: "Unsent"; readonly failure: Failure }

export interface Connection {
  readonly session: protocol.Session
  /** When something last came, by `performance.now()`. */
  readonly heard: () => number
  readonly isOpen: () => boolean
  /** All of them in this order, and behind what was sent before. Gives what takes back those that have not left: nobody is told of any of them then. */
  readonly send: (
    requests: ReadonlyArray<protocol.Request<any>>,
    on: (index: number, answer: Answer<any>) => void
  ) => () => ReadonlyArray<boolean>
  /** Ends the session, too. */
  readonly close: () => void
  /** Ends it as if it were lost. The session goes on for whoever connects with it. */
  readonly abandon: (failure: Failure) => void
}

export interface Listener {
  readonly opened: (connection: Connection) => void
  /** Instead of `opened`. */
  readonly failed: (failure: Failure) => void
  /** The server knows no such session (any more). Instead of `opened`. */
  readonly expired: () => void
  /** After `opened`. */
  readonly ended?: ((failure: Failure) => void) | undefined
  readonly event?: ((event: protocol.Event) => void) | undefined
}

/** How many requests may wait for their answers. A server stops to read from those who ask too much at once. */
const mostAtOnce = 100

/** What is longer is none: a list of a million locks has 64 MB. */
const longestFrame = 1 << 28

/** How long the end of a session may take, in milliseconds. */
const farewell = 1_000

interface Waiting {
  readonly request: protocol.Request<any>
  readonly index: number
  readonly flight: Flight
}

interface Flight {
  readonly on: (index: number, answer: Answer<any>) => void
  readonly left: Array<boolean>
  over: boolean
}

const dial = ({ server: { host, port }, tls }: Settings, ready: () => void): Net.Socket => {
  if (tls === undefined) return Net.connect({ host, port, noDelay: true }, ready)
  // A name is sent along for servers of many names; an address is none.
  return Tls.connect({ ...tls, host, port, ...(Net.isIP(host) === 0 ? { servername: host } : {}) }, ready)
}

/** Gives what gives it up. */
export const open = (settings: Settings, listener: Listener): ((failure: Failure) => void) => {
  let state: "dialing" | "greeting" | "authenticating" | "open" | "over" = "dialing"
  let heard = performance.now()
  let sentAt = heard
  /** When something was sent for the first time since something came. */
  let asked: number | undefined
  let number = 0
  let session = settings.session
  let timer: NodeJS.Timeout | undefined
  let auths = settings.credentials.length
  const queue: Array<Waiting> = []
  const sent = new Map<number, Waiting>()

  const write = (bytes: Buffer) => {
    sentAt = performance.now()
    asked ??= sentAt
    socket.write(bytes)
  }

  /** `gently`: the server may still read what was sent. */
  const end = (failure: Failure, gently = false) => {
    if (state === "over") return
    const before = state
    state = "over"
    clearInterval(timer)
    if (gently) {
      socket.end()
      setTimeout(() => socket.destroy(), farewell).unref()
    } else socket.destroy()
    const [lost, unsent] = [[...sent.values()], queue.splice(0)]
    sent.clear()
    if (before === "open") listener.ended?.(failure)
    else listener.failed(failure)
    for (const { flight, index } of lost) if (!flight.over) flight.on(index, { _tag: "Lost", failure })
    for (const { flight, index } of unsent) if (!flight.over) flight.on(index, { _tag: "Unsent", failure })
  }

  const pump = () => {
    const all: Array<Buffer> = []
    while (sent.size < mostAtOnce && queue.length > 0) {
      const waiting = queue.shift()!
      if (waiting.flight.over) continue
      number = number === 0x7fff_ffff ? 1 : number + 1
      waiting.flight.left[waiting.index] = true
      sent.set(number, waiting)
      all.push(protocol.frame(number, waiting.request))
    }
    if (all.length > 0) write(all.length === 1 ? all[0]! : Buffer.concat(all))
  }

  const beat = (timeout: number) => {
    if (state !== "open") return
    const now = performance.now()
    if (asked !== undefined && now - asked > (2 * timeout) / 3)
      return end(new Failure("silent", `nothing came from the server for ${Math.round(now - asked)} ms`))
    if (now - sentAt >= timeout / 3) write(protocol.frame(protocol.xid.ping, protocol.ping))
  }

  const opened = () => {
    state = "open"
    listener.opened({
      session,
      heard: () => heard,
      isOpen: () => state === "open",
      send: (requests, on) => {
        const flight: Flight = { on, left: requests.map(() => false), over: false }
        if (state !== "open") {
          const failure = new Failure("lost", "the connection has ended")
          queueMicrotask(() => {
            if (!flight.over) requests.forEach((_, index) => on(index, { _tag: "Unsent", failure }))
          })
        } else {
          requests.forEach((request, index) => queue.push({ request, index, flight }))
          pump()
        }
        return () => {
          flight.over = true
          return flight.left
        }
      },
      close: () => {
        if (state !== "open") return
        write(protocol.frame(number + 1, protocol.closeSession))
        end(new Failure("closed", "the connection was closed"), true)
      },
      abandon: (failure) => end(failure)
    })
  }

  const greeted = (frame: Buffer) => {
    const found = protocol.welcome(frame)
    if (found.timeout <= 0) {
      state = "over"
      socket.destroy()
      return listener.expired()
    }
    session = found.session
    // Asked often enough that the session lives on, and that a connection that is dead without a word is found out.
    // What came while this process stood still is looked at first.
    timer = setInterval(() => setImmediate(beat, found.timeout), found.timeout / 8)
    timer.unref()
    state = "authenticating"
    for (const each of settings.credentials) write(protocol.frame(protocol.xid.auth, protocol.auth(each)))
    if (auths === 0) opened()
  }

  const replied = (frame: Buffer) => {
    const reader = new Reader(frame)
    const xid = reader.int()
    const zxid = reader.count()
    const code = reader.int()
    switch (xid) {
      case protocol.xid.ping:
        return
      case protocol.xid.watchEvent:
        return listener.event?.(protocol.event(zxid, reader))
      case protocol.xid.auth: {
        if (code !== 0)
          return end(new Failure("auth", `the server does not accept this user and password (code ${code})`))
        if (--auths === 0) opened()
        return
      }
    }
    const waiting = sent.get(xid)
    if (waiting === undefined) throw new RangeError("an answer to nothing that was asked")
    // One that cannot be read is lost like the others.
    const answer: Answer<any> =
      code === 0 ? { _tag: "Done", zxid, value: waiting.request.read(reader) } : { _tag: "Refused", zxid, code }
    sent.delete(xid)
    // Nothing more will be done for it here. That is known before anybody goes on, who would send more.
    const isOver = code === protocol.code.sessionExpired || code === protocol.code.sessionMoved
    if (isOver) end(new Failure("lost", `the session is no longer this connection's (code ${code})`))
    if (!waiting.flight.over) waiting.flight.on(waiting.index, answer)
    if (!isOver) pump()
  }

  const take = frames(longestFrame, (frame) => {
    if (state === "greeting") greeted(frame)
    else if (state !== "over") replied(frame)
  })

  const socket = dial(settings, () => {
    state = "greeting"
    write(protocol.hello(settings.session, settings.timeout))
  })
  socket.on("data", (chunk) => {
    heard = performance.now()
    asked = undefined
    try {
      take(chunk)
    } catch (cause) {
      end(new Failure("odd", "what came is no message of ZooKeeper's", cause))
    }
  })
  socket.on("error", (error) =>
    end(failureOf(state === "dialing" ? "connect" : state === "open" ? "lost" : "refused", error))
  )
  socket.on("close", () =>
    end(
      state === "open"
        ? new Failure("lost", "the server closed the connection")
        : new Failure("refused", "the server closed the connection before it opened a session")
    )
  )
  return (failure) => end(failure)
}
