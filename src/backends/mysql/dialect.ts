/** What locks say to servers of the MySQL family. */
import type { Query } from "../sql/executor.js"
import type { Dialect } from "../sql/storage.js"
import type * as Storage from "../../Storage.js"
import { longestId, type Packet } from "./packet.js"
import type { NameOf } from "./sleepers.js"
import * as statements from "./statements.js"

const guarantees = (flavour: statements.Flavour): Storage.Guarantees => ({
  name: "MysqlStorage",
  clock: "storage",
  time: "real",
  // The cluster's clock counts milliseconds, and goes in steps of up to 50 of them.
  leaseGranularity: flavour === "TiDB" ? 1_000 : 1,
  shortestLease: flavour === "TiDB" ? 100_000 : 1_000,
  longestId,
  // As hexadecimal digits it must fit in a packet: 16 MiB by default on MariaDB. A row of TiDB may have 6 MiB.
  largestRecord: 6_000_000
})

/** What each operation asks of the server, over one table. `table` is quoted. `nameOf`: who waits is woken. */
export const make = (
  flavour: statements.Flavour,
  table: string,
  groups: boolean,
  nameOf: NameOf | undefined
): Dialect<Packet> => {
  const packets = statements.make(flavour, table, groups, nameOf)
  const query =
    <A extends ReadonlyArray<any>>(make: (...args: A) => Packet) =>
    (...args: A): Query<Packet> => ({ statement: make(...args), values: [] })
  return {
    claim: query(packets.claim),
    claimMany: packets.claimMany && query(packets.claimMany),
    releaseMany: packets.releaseMany && query(packets.releaseMany),
    renew: query(packets.renew),
    release: query(packets.release),
    revoke: query(packets.revoke),
    get: query(packets.get),
    list: query(packets.list),
    purge: query(packets.purge),
    time: { statement: packets.time, values: [] },
    create: query(packets.create),
    update: query(packets.update),
    drop: query(packets.drop),
    locked: packets.locked,
    guarantees: guarantees(flavour)
  }
}
