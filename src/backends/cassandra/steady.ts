/**
 * What the driver (4.10) does wrong when it has lost all nodes, corrected for clients of our own. Then it starts over with the hosts of the URL, so that it finds those that have moved; but
 *
 * - it puts a new object in the place of the node that it finds first, and leaves the former one with its connection, for ever;
 * - from then on it listens twice to the connection by which it hears of nodes. When that breaks, two of its attempts to reconnect run at once, and one throws where nobody listens: that ends the process.
 */
import type { Client } from "cassandra-driver"

/** None of this is in the driver's types. */
interface Inner {
  readonly controlConnection?: {
    _refresh?: (hosts?: unknown) => Promise<void>
    readonly _isShuttingDown?: boolean
  }
}

interface Node {
  readonly shutdown?: (drain: boolean) => Promise<void>
}

/** Before it tries again after it threw, in milliseconds. */
const pause = 1_000

export const steady = (client: Client): Client => {
  client.hosts.on("remove", (node: Node) => void node.shutdown?.(false).catch(() => {}))

  const control = (client as unknown as Inner).controlConnection
  const refresh = control?._refresh
  if (control === undefined || refresh === undefined) return client
  let running: Promise<void> | undefined
  control._refresh = (hosts) => {
    // It calls itself with those that are left.
    if (hosts !== undefined) return refresh.call(control, hosts)
    running ??= refresh
      .call(control)
      .catch(() => {
        if (control._isShuttingDown !== true) setTimeout(() => void control._refresh!(), pause).unref()
      })
      .finally(() => (running = undefined))
    return running
  }
  return client
}
