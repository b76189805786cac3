/**
 * Sessions whose packet nobody waits for any more. To close a connection does not end a packet that waits for a lock: it goes on at the server. It is said goodbye to, and
 * counted until the server hangs up, too, or until it has surely ended the packet.
 *
 * Nobody is killed: a session is known by a number alone, and behind a proxy, or after a failover, that number is somebody else's.
 */
import type * as Mysql from "mysql2"
import type * as Net from "node:net"
import type * as shared from "../sql/poolExecutor.js"
import * as sessions from "../sql/sessions.js"
import * as limits from "./limits.js"
import { streamOf } from "./socket.js"

/** Where connections come from that may be left to themselves. */
export interface Connections extends shared.Connections<Mysql.Connection> {
  /** Gives its place to another, and leaves it open. */
  readonly forget: (connection: Mysql.Connection) => void
}

export interface Sessions extends sessions.Sessions<Mysql.Connection> {
  /** Hangs up on all. */
  readonly abandon: () => void
}

export const make = (spare: number, { drop, forget }: Connections): Sessions => {
  const left = new Set<Net.Socket>()
  const { giveUp } = sessions.make<Mysql.Connection>({
    spare,
    stop: () => 0,
    leave: (connection, millis, gone) => {
      const stream = streamOf(connection)
      const over = () => {
        clearTimeout(timer)
        stream.destroy()
        if (left.delete(stream)) gone()
      }
      const timer = setTimeout(over, limits.longest(limits.secondsOf(millis)))
      timer.unref()
      left.add(stream)
      stream.once("close", over)
      forget(connection)
      connection.destroy()
      if (stream.destroyed) over()
    },
    drop
  })
  return {
    giveUp,
    abandon: () => {
      for (const stream of left) stream.destroy()
    }
  }
}
