/** The end of a connection to Oracle, whatever state its driver is in. */
import { AsyncLocalStorage } from "node:async_hooks"
import * as Diagnostics from "node:diagnostics_channel"
import type * as Net from "node:net"
import type { Connection } from "./driver.js"

interface Inner {
  readonly _impl?: { readonly nscon?: { readonly disconnect?: (how: number) => void } }
}

/** What the driver calls an immediate close. */
const immediately = 0x40

/** Whatever the other side does. The driver has no such call: its `close` waits for what the connection is doing, and for the server's goodbye. What waits for an answer is told NJS-500. */
export const hangUp = (connection: Connection): void => {
  try {
    ;(connection as Inner)._impl?.nscon?.disconnect?.(immediately)
  } catch {
    // It was closed already.
  }
}

/** How long the goodbye may take, in milliseconds. */
const patience = 1_000

/** Says goodbye, and hangs up where that is not answered. Calls `gone` then. Does no harm to one that is closed. */
export const close = (connection: Connection, drop: boolean, gone: () => void = () => {}): void => {
  const timer = setTimeout(() => hangUp(connection), patience)
  timer.unref()
  const over = () => {
    clearTimeout(timer)
    gone()
  }
  connection.close({ drop }).then(over, over)
}

/** The sockets that an attempt to connect has opened. */
const storage = new AsyncLocalStorage<Set<Net.Socket>>()
const channel = "net.client.socket"
let attempts = 0

const heard = (message: unknown) => {
  storage.getStore()?.add((message as { readonly socket: Net.Socket }).socket)
}

/**
 * Runs an attempt to connect, and tells how to end it. The driver has no way to do that: once the listener has let it in, it waits for the login without limit, and would keep a socket for each attempt at a server that hangs. What
 * finds them is on only while somebody connects, for Node makes every promise a little slower meanwhile.
 */
export const attempt = <A>(run: () => Promise<A>): { readonly made: Promise<A>; readonly abort: () => void } => {
  const sockets = new Set<Net.Socket>()
  if (attempts++ === 0) Diagnostics.subscribe(channel, heard)
  const made = storage
    .run(sockets, async () => run())
    .finally(() => {
      if (--attempts > 0) return
      Diagnostics.unsubscribe(channel, heard)
      storage.disable()
    })
  return {
    made,
    // With an error: of a socket that is only closed the driver does not know that it is, would say goodbye on it when its memory is collected, and throw where nobody catches.
    abort: () => {
      for (const socket of sockets) socket.on("error", () => {}).destroy(new Error("given up"))
    }
  }
}
