/** What of a keyspace weakens the promises. The layer warns of the first, the doctor tells all, and the cure, too. */
import type { Finding } from "../../common/checkup.js"

type Row = Readonly<Record<string, unknown>>

/** How many copies there are of a row, if that can be told. */
const copies = (replication: unknown): number | undefined => {
  const counts = Object.entries(Object(replication) as Record<string, unknown>)
    .filter(([name]) => name !== "class")
    .map(([, count]) => parseInt(String(count), 10))
  return counts.length === 0 || counts.some(Number.isNaN) ? undefined : counts.reduce((a, b) => a + b)
}

export const replicate = (keyspace: string): string =>
  `ALTER KEYSPACE "${keyspace}" WITH replication = {'class': 'NetworkTopologyStrategy', '<data centre>': 3}; then nodetool repair -full ${keyspace}`

/** What is worth to be said of the keyspace at the start. `nodes`: how many there are. */
export const findings = (
  keyspace: string,
  { durable_writes, replication }: Row,
  nodes: number
): ReadonlyArray<Finding> => [
  ...(durable_writes === false
    ? [
        {
          check: "durable_writes",
          severity: "error",
          wrong: `the keyspace "${keyspace}" has durable_writes = false`,
          leads: "nodes that restart forget who has the locks",
          cure: `ALTER KEYSPACE "${keyspace}" WITH durable_writes = true;`
        } as const
      ]
    : []),
  ...(copies(replication) === 1 && nodes > 1
    ? [
        {
          check: "replication",
          severity: "warning",
          wrong: `the keyspace "${keyspace}" has one copy of each lock`,
          leads: "while a node is down, nobody gets those that it has",
          cure: replicate(keyspace)
        } as const
      ]
    : [])
]

/** What need not be told at each start. */
export const more = (keyspace: string, { replication }: Row, nodes: number): ReadonlyArray<Finding> => {
  const found: Array<Finding> = []
  const add = (check: string, severity: Finding["severity"], wrong: string, leads: string) =>
    found.push({ check, severity, wrong, leads, cure: replicate(keyspace) })
  const count = copies(replication)
  if (count === 2)
    add(
      "replication",
      "warning",
      `the keyspace "${keyspace}" has two copies of each lock`,
      "a majority is both, so while a node is down nobody gets the locks that it has"
    )
  if (nodes === 1 && count === 1)
    add(
      "replication",
      "note",
      "the cluster has one node",
      "while it is down no lock can be taken, and with its disk the locks are gone"
    )
  if (count !== undefined && count > nodes)
    add(
      "replication",
      "error",
      `the keyspace "${keyspace}" wants ${count} copies, and there are ${nodes} nodes`,
      count > 2 * nodes - 1
        ? "no majority is there, and no lock can be taken"
        : "no node may be down, though the number of copies says so"
    )
  if (/SimpleStrategy$/.test(String(Object(replication).class)))
    add(
      "strategy",
      "note",
      `the keyspace "${keyspace}" has the SimpleStrategy`,
      "it knows nothing of data centres and racks: all copies may be where one failure takes them, and a second data centre gets its share unasked"
    )
  return found
}

/** Of the configuration of a node. */
export const ofNode = (settings: ReadonlyMap<string, string>): ReadonlyArray<Finding> => {
  const found: Array<Finding> = []
  const sync = settings.get("commitlog_sync")
  if (sync === "periodic")
    found.push({
      check: "commitlog_sync",
      severity: "warning",
      wrong: "commitlog_sync is periodic",
      leads:
        "if a majority of a lock's nodes loses power within ten seconds, its last claims are forgotten, and two owners may hold one lock",
      cure: "commitlog_sync: batch (or group) in cassandra.yaml, without commitlog_sync_period, and restart the nodes one by one"
    })
  const paxos = settings.get("paxos_variant")
  if (paxos !== undefined && !/^v2/.test(paxos))
    found.push({
      check: "paxos_variant",
      severity: "note",
      wrong: `paxos_variant is ${paxos}`,
      leads: "contended claims are several times slower than with v2",
      cure: "paxos_variant: v2 in cassandra.yaml, once all nodes are of 4.1 or newer"
    })
  return found
}
