/** Sessions whose statement nobody waits for any more. What of them may still be at the server is counted, so that a pool never has more there than its size and so many again. */

export interface Sessions<C> {
  /** Nobody waits for its answer any more. Returns what is to be called if it comes all the same. */
  readonly giveUp: (connection: C, millis: number) => () => void
}

export interface Options<C> {
  /** The most that are left to themselves at once. Beyond, those given up keep their place in the pool. */
  readonly spare: number
  /** Asks the server to stop what the session does. Returns for how many milliseconds its answer is waited for: none, where it cannot be asked. */
  readonly stop: (connection: C, millis: number) => number
  /** Closes a connection whose session may go on at the server, and gives its place to another. `gone` is called once, when that session cannot be there any more. */
  readonly leave: (connection: C, millis: number, gone: () => void) => void
  /** Closes a connection whose session ends with it, and gives its place to another. */
  readonly drop: (connection: C) => void
}

/** How long a server has to answer that it stopped, in milliseconds. */
export const patience = (millis: number): number => Math.min(500, Math.max(50, millis / 4))

export const make = <C>({ drop, leave, spare, stop }: Options<C>): Sessions<C> => {
  let left = 0
  /** They wait, in their places, for one of those that are left to be gone. */
  const waiting: Array<() => void> = []

  const gone = () => {
    left--
    waiting.shift()?.()
  }

  return {
    giveUp: (connection, millis) => {
      let state: "asked" | "waiting" | "gone" = "asked"
      const next = () => {
        if (state !== "waiting") return waiting.shift()?.()
        state = "gone"
        left++
        leave(connection, millis, gone)
      }
      const overdue = () => {
        if (state !== "asked") return
        state = "waiting"
        if (left < spare) next()
        else waiting.push(next)
      }
      const wait = stop(connection, millis)
      if (wait > 0) setTimeout(overdue, wait).unref()
      else overdue()
      return () => {
        // It has stopped, or its connection is gone: its session ends with the connection.
        if (state === "gone") return
        state = "gone"
        drop(connection)
      }
    }
  }
}
