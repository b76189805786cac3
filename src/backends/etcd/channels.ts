/** The connections to the endpoints, one of which is in use: whether it has been asked who it is, and what becomes of one that does not serve. */
import * as Grpc from "@grpc/grpc-js"

/** How to reach one endpoint. */
export type Open = () => Grpc.Client

export interface Endpoint {
  readonly open: Open
  client: Grpc.Client | undefined
  /** When something last came from it. */
  heard: number
  opened: number
  /** It has told which cluster it belongs to, and that it can serve, on the connection that there is now. */
  confirmed: boolean
  /** Others have taken its place: what was given for it is out of date. */
  retired: boolean
}

export interface Channels {
  readonly size: () => number
  readonly all: () => ReadonlyArray<Endpoint>
  readonly current: () => Endpoint
  readonly client: (endpoint: Endpoint) => Grpc.Client
  /** Whether requests may go to it at once. `connect`: to begin connecting, if it is not connected. */
  readonly isReady: (endpoint: Endpoint, connect: boolean) => boolean
  readonly confirm: (endpoint: Endpoint) => void
  /** It did not serve: the next one's turn. Without an answer since `silentSince`, its connection is given up. */
  readonly leave: (endpoint: Endpoint, silentSince?: number) => void
  readonly replace: (opens: ReadonlyArray<Open>) => void
  /** Closes its connection, which is opened again when it is needed. */
  readonly drop: (endpoint: Endpoint) => void
  readonly close: () => void
}

/** How long the driver may fail to connect, in milliseconds, before its channel is left for a new one: it was seen never to try again. */
const longestSilence = 3_000

export const make = (owned: boolean): Channels => {
  let endpoints: ReadonlyArray<Endpoint> = []
  let turn = 0

  const drop = (endpoint: Endpoint) => {
    endpoint.confirmed = false
    if (owned) endpoint.client?.close()
    endpoint.client = undefined
  }

  const client = (endpoint: Endpoint): Grpc.Client => {
    if (endpoint.retired) throw new Error("the connection was replaced by one with what its options are now")
    if (endpoint.client === undefined) {
      endpoint.client = endpoint.open()
      endpoint.opened = performance.now()
    }
    return endpoint.client
  }

  return {
    client,
    drop,
    size: () => endpoints.length,
    all: () => endpoints,
    current: () => endpoints[turn]!,
    isReady: (endpoint, connect) => {
      const channel = client(endpoint).getChannel()
      const state = channel.getConnectivityState(false)
      // To ask one that was closed to connect would bring it back to life, behind the back of whoever closed it.
      if (state === Grpc.connectivityState.SHUTDOWN) drop(endpoint)
      else if (connect && state === Grpc.connectivityState.IDLE) channel.getConnectivityState(true)
      return state === Grpc.connectivityState.READY && endpoint.confirmed
    },
    confirm: (endpoint) => {
      const { READY } = Grpc.connectivityState
      const channel = client(endpoint).getChannel()
      if (endpoint.confirmed || channel.getConnectivityState(false) !== READY) return
      endpoint.confirmed = true
      // The next connection may lead elsewhere. Without a deadline there is no timer.
      channel.watchConnectivityState?.(READY, Number.POSITIVE_INFINITY, () => {
        endpoint.confirmed = false
      })
    },
    leave: (endpoint, silentSince) => {
      endpoint.confirmed = false
      if (endpoints[turn] === endpoint) turn = (turn + 1) % endpoints.length
      const isDead =
        silentSince === undefined
          ? Math.max(endpoint.heard, endpoint.opened) < performance.now() - longestSilence
          : endpoint.heard < silentSince
      if (owned && isDead) drop(endpoint)
    },
    replace: (opens) => {
      for (const endpoint of endpoints) {
        drop(endpoint)
        endpoint.retired = true
      }
      turn = 0
      endpoints = opens.map((open) => ({
        open,
        client: undefined,
        heard: Number.NEGATIVE_INFINITY,
        opened: Number.NEGATIVE_INFINITY,
        confirmed: false,
        retired: false
      }))
    },
    close: () => endpoints.forEach(drop)
  }
}
