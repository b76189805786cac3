/**
 * Sessions whose packet nobody waits for any more. To close a connection does not end a packet that waits for a lock: it goes on at the server. So what of them may still be there is counted, and a
 * pool never has more at the server than its size and so many again.
 *
 * Nobody is killed: a session is known by a number alone, and behind a proxy, or after a failover, that number is somebody else's.
 */
import type * as Mysql from "mysql2"
import type * as Net from "node:net"

export interface Sessions {
  /** Nobody waits for its answer any more; after `longest` milliseconds the server has ended it. Returns what is to be called if the answer comes all the same. */
  readonly giveUp: (connection: Mysql.Connection, longest: number) => () => void
  /** Hangs up on all. */
  readonly abandon: () => void
}

export interface Options {
  /** The most that are left to themselves at once. Beyond, those given up keep their place in the pool. */
  readonly spare: number
  /** Closes a connection, and gives its place to another. */
  readonly drop: (connection: Mysql.Connection) => void
}

export const make = ({ drop, spare }: Options): Sessions => {
  const left = new Set<Net.Socket>()
  /** They wait, in their places, for one of those that are left to be gone. */
  const waiting: Array<() => void> = []

  /** Says goodbye, which the server hears when it is done: then it hangs up, too. */
  const leave = (connection: Mysql.Connection, longest: number) => {
    const { stream } = connection as unknown as { readonly stream: Net.Socket }
    const gone = () => {
      clearTimeout(timer)
      stream.destroy()
      if (left.delete(stream)) waiting.shift()?.()
    }
    const timer = setTimeout(gone, longest)
    timer.unref()
    left.add(stream)
    stream.once("close", gone)
    drop(connection)
    if (stream.destroyed) gone()
  }

  return {
    giveUp: (connection, longest) => {
      let isHere = true
      const next = () => {
        if (!isHere) return void waiting.shift()?.()
        isHere = false
        leave(connection, longest)
      }
      if (left.size < spare) next()
      else waiting.push(next)
      return () => {
        if (!isHere) return
        isHere = false
        drop(connection)
      }
    },
    abandon: () => {
      for (const stream of left) stream.destroy()
    }
  }
}
