/** Sessions of a pool of `pg` whose statement nobody waits for any more. */
import * as Pg from "pg"
import * as shared from "../sql/sessions.js"

export interface Options {
  readonly spare: number
  /** After so many milliseconds the server has ended the statement by itself. */
  readonly longest: number
  /** Whether the server can be asked to stop a statement of this client. A pooler might stop somebody else's. */
  readonly canStop: (client: Pg.PoolClient) => boolean
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

/** When the server is asked again, in milliseconds after the first answer was due. */
const stopAgain = [0, 1_000, 5_000, 20_000]

export const make = ({ canStop, longest, spare }: Options): shared.Sessions<Pg.PoolClient> => {
  const drop = (client: Pg.PoolClient) => quietly(() => client.release(true))
  return shared.make({
    spare,
    stop: (client, millis) => {
      if (!canStop(client)) return 0
      quietly(() => cancel(client))
      return shared.patience(millis)
    },
    leave: (client, _, gone) => {
      drop(client)
      // A request that comes before the session has begun its statement stops nothing.
      if (canStop(client))
        for (const millis of stopAgain) setTimeout(() => quietly(() => cancel(client)), millis).unref()
      setTimeout(gone, longest).unref()
    },
    drop
  })
}
