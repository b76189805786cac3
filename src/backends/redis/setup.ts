/** Settings of a Redis server that weaken what locks promise, looked for once. */
import * as Effect from "#effect/Effect"
import { sentence } from "../../common/checkup.js"
import type { Call, Connection, Node } from "./connection.js"
import * as weak from "./startupFindings.js"

/** Managed servers forbid CONFIG: then there is nothing to say. */
const settings = (connection: Connection, call: Call, node: Node) =>
  Effect.forEach(
    weak.names,
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

/** Warns of what weakens the promises, once for each thing. */
export const look = (connection: Connection, call: Call): Effect.Effect<void> =>
  Effect.gen(function* () {
    const found = new Set<string>()
    const nodes = yield* Effect.orElseSucceed(connection.masters(call), () => [])
    yield* Effect.forEach(
      nodes,
      (node) =>
        Effect.gen(function* () {
          for (const each of weak.ofSettings(yield* settings(connection, call, node))) found.add(sentence(each))
          if (yield* replica(connection, call, node)) {
            found.add(sentence(weak.replica))
          }
        }),
      { concurrency: 8, discard: true }
    )
    yield* Effect.forEach(found, (text) => Effect.logWarning(`RedisStorage: ${text}`), { discard: true })
  })
