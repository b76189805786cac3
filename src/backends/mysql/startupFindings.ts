/** What of a server, as its settings are, weakens the promises. The layer warns of it, the doctor tells the cure, too. */
import type { Finding } from "../../common/checkup.js"
import type { Flavour } from "./statements.js"

export interface Known {
  readonly flavour: Flavour
  /** By their names in lower case. */
  readonly variables: ReadonlyMap<string, string>
}

export const on = /^(on|1)$/i

/** MySQL keeps what is set so over a restart; MariaDB reads it from its file alone. */
export const set = (flavour: Flavour, name: string, value: string): string =>
  flavour === "MariaDB"
    ? `SET GLOBAL ${name} = ${value}; and ${name} = ${value} in my.cnf, below [mysqld]`
    : `SET PERSIST ${name} = ${value};`

export const findings = ({ flavour, variables }: Known): ReadonlyArray<Finding> => {
  const found: Array<Finding> = []
  const add = (check: string, severity: Finding["severity"], wrong: string, leads: string, cure: string) =>
    found.push({ check, severity, wrong, leads, cure })
  const is = (name: string, value: RegExp) => value.test(variables.get(name) ?? "")
  if (flavour === "TiDB") return found
  if (is("innodb_read_only", on) || is("super_read_only", on) || is("read_only", /^(on|1|no_lock.*)$/i)) {
    add(
      "primary",
      "error",
      "the server is read-only, as a replica is",
      "until it is promoted claims will fail, or be lost if the user may write all the same",
      `give a URL that leads to the primary; or, where this one is to be it, ${set(flavour, "read_only", "OFF")}`
    )
  }
  if (is("innodb_flush_log_at_trx_commit", /^[02]$/)) {
    add(
      "innodb_flush_log_at_trx_commit",
      "error",
      "innodb_flush_log_at_trx_commit is not 1",
      "a crash may forget the last claims, and two owners may hold one lock",
      set(flavour, "innodb_flush_log_at_trx_commit", "1")
    )
  }
  if (is("log_bin", on) && is("sync_binlog", /^\d+$/) && !is("sync_binlog", /^1$/)) {
    add(
      "sync_binlog",
      "error",
      "sync_binlog is not 1",
      "a crash of the server's machine may forget claims on it or on its replicas",
      set(flavour, "sync_binlog", "1")
    )
  }
  if (is("wsrep_on", on)) {
    add(
      "galera",
      "warning",
      "the server is a node of a Galera cluster",
      "send the locks of all processes to one node, or its reads may be late and claims conflict",
      "give all processes a URL that leads to the same node"
    )
  }
  return found
}
