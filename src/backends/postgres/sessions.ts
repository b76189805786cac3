/** Sessions whose statement nobody waits for any more. What of them may still be at the server is counted, so that a pool never has more there than its size and so many again. */
import * as Pg from "pg"

export interface Sessions {
  /** Nobody waits for its answer any more. Returns what is to be called if it comes all the same. */
  readonly giveUp: (client: Pg.PoolClient, millis: number) => () => void
}

export interface Options {
  /** The most that are left to themselves at once. Beyond, those given up keep their place in the pool. */
  readonly spare: number
  /** After so many milliseconds the server has ended the statement by itself. */
  readonly longest: number
  /** Whether the server can be asked to stop a statement of this client. A pooler might stop somebody else's. */
  readonly cancel: (client: Pg.PoolClient) => boolean
}

interface Internals {
  readonly processID?: unknown
  readonly secretKey?: unknown
  readonly sslNegotiation?: unknown
}

interface CancelConnection extends Pg.Connection {
  readonly connect: (port: number | string, host?: string) => void
  readonly requestSsl: () => void
  readonly cancel: (processID: number, secretKey: number) => void
}

/** How long the server has to answer that it stopped, in milliseconds. */
const patience = (millis: number): number => Math.min(500, Math.max(50, millis / 4))

/**
 * Asks the server to stop what the session of this client is doing. Safe only for a session that is never used again: the request may come late, and then it stops whatever runs
 * there. The server knows the session by a secret, so it can hit no other.
 */
const cancel = (client: Pg.PoolClient): void => {
  const { processID, secretKey, sslNegotiation } = client as unknown as Internals
  if (typeof processID !== "number" || typeof secretKey !== "number") return
  const connection = new Pg.Connection({ ssl: client.ssl, sslNegotiation } as Pg.ConnectionConfig) as CancelConnection
  const timer = setTimeout(() => connection.stream.destroy(), 2_000)
  timer.unref()
  connection.on("error", () => connection.stream.destroy())
  connection.once("end", () => clearTimeout(timer))
  const ask = () => connection.cancel(processID, secretKey)
  connection.once("connect", () =>
    client.ssl ? (sslNegotiation === "direct" ? undefined : connection.requestSsl()) : ask()
  )
  connection.once("sslconnect", ask)
  if (client.host.startsWith("/")) connection.connect(`${client.host}/.s.PGSQL.${client.port}`)
  else connection.connect(client.port, client.host)
}

const quietly = (act: () => void): void => {
  try {
    act()
  } catch {
    // Of a client that is gone already.
  }
}

export const make = (options: Options): Sessions => {
  let left = 0
  /** They wait, in their places, for one of those that are left to be gone. */
  const waiting: Array<() => void> = []

  /** The connection is closed, and its session may go on at the server: it is counted until it cannot. */
  const leave = (client: Pg.PoolClient) => {
    left++
    quietly(() => client.release(true))
    setTimeout(() => {
      left--
      waiting.shift()?.()
    }, options.longest).unref()
  }

  return {
    giveUp: (client, millis) => {
      let state: "asked" | "waiting" | "gone" = "asked"
      const next = () => {
        if (state !== "waiting") return waiting.shift()?.()
        state = "gone"
        leave(client)
      }
      const overdue = () => {
        if (state !== "asked") return
        state = "waiting"
        if (left < options.spare) return next()
        waiting.push(next)
      }
      if (options.cancel(client)) {
        quietly(() => cancel(client))
        setTimeout(overdue, patience(millis)).unref()
      } else {
        overdue()
      }
      return () => {
        // It has stopped, or its connection is gone: its session ends with the connection.
        if (state === "gone") return
        state = "gone"
        quietly(() => client.release(true))
      }
    }
  }
}
