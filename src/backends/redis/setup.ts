import * as Effect from "#effect/Effect"
import type { Call, Connection, Node } from "./connection.js"

/** Managed servers forbid CONFIG: then there is nothing to say. */
const settings = (connection: Connection, call: Call, node: Node) =>
  Effect.forEach(
    ["appendonly", "appendfsync", "maxmemory", "maxmemory-policy"],
    (name) =>
      Effect.map(
        // One by one: servers before 7.0 take one name.
        connection.command(call, "config", ["get", name], node),
        (reply) => [name, String((Array.isArray(reply) ? reply[1] : undefined) ?? "")] as const
      ),
    { concurrency: "unbounded" }
  ).pipe(
    Effect.map((all) => new Map(all)),
    Effect.catch((error) =>
      Effect.as(
        Effect.logDebug(`RedisStorage: the server's settings cannot be looked at. ${error.message}`),
        new Map<string, string>()
      )
    )
  )

const replica = (connection: Connection, call: Call, node: Node) =>
  Effect.map(connection.command(call, "role", [], node), (reply) => Array.isArray(reply) && reply[0] === "slave").pipe(
    Effect.orElseSucceed(() => false)
  )

const weak = (found: ReadonlyMap<string, string>): ReadonlyArray<string> => {
  const warnings: Array<string> = []
  const [appendonly, fsync, memory, policy] = ["appendonly", "appendfsync", "maxmemory", "maxmemory-policy"].map(
    (name) => found.get(name)
  )
  if (appendonly === "no") {
    warnings.push(
      "appendonly is off: a restart of the server forgets locks that are held, and two owners may hold one lock"
    )
  } else if (fsync !== undefined && fsync !== "always") {
    warnings.push(
      `appendfsync is ${fsync}: a crash of the server's machine may forget the last claims, and two owners may hold one lock`
    )
  }
  // No record has an expiry, so the volatile policies have nothing of ours to evict.
  if (policy?.startsWith("allkeys") === true && memory !== "0") {
    warnings.push(
      `maxmemory-policy is ${policy}: the server may drop locks that are held, and two owners may hold one lock. Use noeviction`
    )
  }
  return warnings
}

/** Warns of what weakens the promises, once for each thing. */
export const look = (connection: Connection, call: Call): Effect.Effect<void> =>
  Effect.gen(function* () {
    const found = new Set<string>()
    const nodes = yield* Effect.orElseSucceed(connection.masters(call), () => [])
    yield* Effect.forEach(
      nodes,
      (node) =>
        Effect.gen(function* () {
          for (const text of weak(yield* settings(connection, call, node))) found.add(text)
          if (yield* replica(connection, call, node)) {
            found.add("the server is a replica: it is read-only until it is promoted, and every claim will fail")
          }
        }),
      { concurrency: 8, discard: true }
    )
    yield* Effect.forEach(found, (text) => Effect.logWarning(`RedisStorage: ${text}`), { discard: true })
  })
