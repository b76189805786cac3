/**
 * Which node is asked: for each lock the same one by all processes, as long as it answers. Ballots of two coordinators supersede each other, which makes them slow, and their outcomes unknown.
 *
 * It is the first replica in the order of the ring, of those near to us; then the other replicas, and then whoever else there is. The driver's own policies would choose one at random.
 */
import type { Client, Host, policies } from "cassandra-driver"

/** For how long a node that did not answer is asked last, in milliseconds. */
const avoided = 10_000

export interface Coordinators {
  /** In the order in which they are to be asked. Without an id, for what any node knows. */
  readonly of: (client: Client, lockId: string | undefined) => ReadonlyArray<Host>
  /** It does not answer. */
  readonly silent: (host: Host) => void
}

/** `types.distance` of the driver. */
const remote = 1
const ignored = 2

interface Given {
  readonly options?: { readonly policies?: { readonly loadBalancing?: policies.loadBalancing.LoadBalancingPolicy } }
}

/** As whoever made the client wants nodes to be used. */
const distances = (client: Client) => {
  const policy = (client as unknown as Given).options?.policies?.loadBalancing
  return (host: Host): number => policy?.getDistance(host) ?? 0
}

/** Some number, the same everywhere. */
const hash = (text: string): number => {
  let sum = 0
  for (let i = 0; i < text.length; i++) sum = (Math.imul(sum, 31) + text.charCodeAt(i)) | 0
  return sum >>> 0
}

const rotated = <A>(all: ReadonlyArray<A>, by: number): ReadonlyArray<A> =>
  all.length === 0 ? all : [...all.slice(by % all.length), ...all.slice(0, by % all.length)]

/** `only`: the data centre that alone may be asked. */
export const make = (keyspace: string, only: string | undefined): Coordinators => {
  const silent = new Map<string, number>()
  let known: { readonly hosts: ReadonlyArray<Host>; readonly sorted: ReadonlyArray<Host> } | undefined

  const isAvoided = (host: Host, at: number): boolean => {
    const until = silent.get(host.address)
    if (until === undefined) return false
    if (at < until) return true
    silent.delete(host.address)
    return false
  }

  /** The driver gives the same array for as long as there are the same nodes. */
  const everybody = (client: Client): ReadonlyArray<Host> => {
    const hosts = client.hosts.values()
    if (known?.hosts !== hosts) known = { hosts, sorted: [...hosts].sort((a, b) => (a.address < b.address ? -1 : 1)) }
    return known.sorted
  }

  return {
    of: (client, lockId) => {
      const distanceOf = distances(client)
      const at = performance.now()
      const replicas = lockId === undefined ? [] : (client.getReplicas(keyspace, Buffer.from(lockId, "utf8")) ?? [])
      const others = rotated(everybody(client), lockId === undefined ? 0 : hash(lockId))
      // Sorting keeps the order of equals.
      const rank = (host: Host) => (host.isUp() && !isAvoided(host, at) ? 0 : 2) + (distanceOf(host) === remote ? 1 : 0)
      return [...new Set([...replicas, ...others])]
        .filter((host) => distanceOf(host) !== ignored && (only === undefined || host.datacenter === only))
        .sort((a, b) => rank(a) - rank(b))
    },
    silent: (host) => void silent.set(host.address, performance.now() + avoided)
  }
}
