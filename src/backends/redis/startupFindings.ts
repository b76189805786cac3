/** What of a server, as its settings are, weakens the promises. The layer warns of it, the doctor tells the cure, too. */
import type { Finding } from "../../common/checkup.js"

/** What is set so is gone with a restart, unless it is written to the file. */
export const set = (name: string, value: string): string =>
  `CONFIG SET ${name} ${value}, then CONFIG REWRITE (or set it in redis.conf)`

export const names = ["appendonly", "appendfsync", "maxmemory", "maxmemory-policy"]

export const ofSettings = (found: ReadonlyMap<string, string>): ReadonlyArray<Finding> => {
  const weak: Array<Finding> = []
  const [appendonly, fsync, memory, policy] = names.map((name) => found.get(name))
  if (appendonly === "no") {
    weak.push({
      check: "appendonly",
      severity: "error",
      wrong: "appendonly is off",
      leads: "a restart of the server forgets locks that are held, and two owners may hold one lock",
      cure: `${set("appendonly", "yes")}; and appendfsync always`
    })
  } else if (fsync !== undefined && fsync !== "always") {
    weak.push({
      check: "appendfsync",
      severity: "warning",
      wrong: `appendfsync is ${fsync}`,
      leads: "a crash of the server's machine may forget the last claims, and two owners may hold one lock",
      cure: set("appendfsync", "always")
    })
  }
  // No record has an expiry, so the volatile policies have nothing of ours to evict.
  if (policy?.startsWith("allkeys") === true && memory !== "0") {
    weak.push({
      check: "maxmemory-policy",
      severity: "error",
      wrong: `maxmemory-policy is ${policy}`,
      leads: "the server may drop locks that are held, and two owners may hold one lock. Use noeviction",
      cure: set("maxmemory-policy", "noeviction")
    })
  }
  return weak
}

export const replica: Finding = {
  check: "primary",
  severity: "error",
  wrong: "the server is a replica",
  leads: "it is read-only until it is promoted, and every claim will fail",
  cure: "give a URL that leads to the master, or Sentinels that know it; or promote this one: REPLICAOF NO ONE"
}
