/** What can be set wrongly at an Elasticsearch or OpenSearch, and how to fix it. */
import * as Effect from "#effect/Effect"
import { type Check, type Finding, type Open, unchecked } from "../../common/checkup.js"
import { valid } from "../../common/input.js"
import * as client from "../http/client.js"
import type { Json } from "../http/json.js"
import * as shared from "../shared/options.js"
import type { Options } from "./ElasticsearchStorage.js"
import { names } from "./errors.js"
import * as internal from "./options.js"
import * as runner from "./runner.js"
import * as weak from "./startupFindings.js"

/** Each says by itself that writes are refused. */
const blocks = ["read_only", "read_only_allow_delete", "write", "read", "metadata"]

const isOn = (value: unknown): boolean => String(value) === "true"

/** What keeps writes away. */
const blocked = (name: string, settings: Json): ReadonlyArray<Finding> =>
  blocks
    .filter((block) => isOn(settings.blocks?.[block]))
    .map((block) => ({
      check: "blocks",
      severity: "error",
      wrong: `the index "${name}" has index.blocks.${block}`,
      leads:
        block === "metadata"
          ? "programs cannot look at the index when they start, and take no lock"
          : "claims, renewals and releases are refused, and holds are lost when their leases end",
      cure: `${block === "read_only_allow_delete" ? "make room on the disks, then " : ""}${weak.put(name, `index.blocks.${block}`, null)}`
    }))

const copies = (name: string, settings: Json, health: Json): ReadonlyArray<Finding> => {
  const nodes = Number(health.number_of_data_nodes)
  if (health.status === "red")
    return [
      {
        check: "copies",
        severity: "error",
        wrong: `the index "${name}" is red: no node has its locks`,
        leads: "no lock can be taken or renewed",
        cure: "start the nodes that are down: GET /_cluster/allocation/explain"
      }
    ]
  if (nodes > 1 && String(settings.number_of_replicas) === "0")
    return [
      {
        check: "copies",
        severity: "warning",
        wrong: `the index "${name}" has one copy, though there are ${nodes} nodes`,
        leads: "while its node is down no lock can be taken, and with its disk the locks are gone",
        cure: weak.put(name, "index.auto_expand_replicas", "0-1")
      }
    ]
  if (health.status === "yellow")
    return [
      {
        check: "copies",
        severity: "warning",
        wrong: `the index "${name}" lacks ${String(health.unassigned_shards)} of its copies`,
        leads: "if the node with the last one fails, no lock can be taken",
        cure: `start the nodes that are down, or ${weak.put(name, "index.auto_expand_replicas", "0-1")}`
      }
    ]
  return nodes === 1
    ? [
        {
          check: "copies",
          severity: "note",
          wrong: "the cluster has one node with data",
          leads: "while it is down no lock can be taken, and with its disk the locks are gone",
          cure: "add a node: the index has a second copy as soon as there is one"
        }
      ]
    : []
}

export const checkup: Open<Options> = (options) =>
  Effect.gen(function* () {
    const common = yield* valid(
      internal.common(options, { url: true, user: true, apiKey: true, tls: true, poolSize: true })
    )
    const poolSize = yield* valid(shared.poolSize(options.poolSize))
    const { own } = yield* Effect.promise(() => import("./withDriver.js"))
    const source = yield* valid(own(options, poolSize))
    const http = yield* Effect.acquireRelease(
      Effect.sync(() => client.make(names, source)),
      ({ close }) => close
    )
    const { run } = runner.make(http, common.operationTimeout)
    const get = (path: string, query: Readonly<Record<string, string>> = {}) =>
      Effect.map(run("checkup", { method: "GET", path, query, kind: "reads", repeatable: true }), ({ body }) => body)
    // It connects: what follows is asked of a server that is there.
    yield* get("/")

    const index = Effect.map(get(`/${common.index}/_settings`), (all): readonly [string, Json] => {
      const [name, about] = Object.entries(all)[0] ?? [common.index, {}]
      return [name, ((about as Json).settings?.index ?? {}) as Json]
    })
    const checks: ReadonlyArray<Check> = [
      {
        name: "durability",
        look: Effect.map(index, ([name, settings]) => weak.findings(name, settings as weak.Settings))
      },
      { name: "blocks", look: Effect.map(index, ([name, settings]) => blocked(name, settings)) },
      {
        name: "copies",
        look: Effect.flatMap(index, ([name, settings]) =>
          Effect.map(get(`/_cluster/health/${name}`), (health) => copies(name, settings, health))
        )
      }
    ]
    const times = get("/_nodes/stats/process", { filter_path: "nodes.*.timestamp" })
    const clock = Effect.map(times, ({ nodes }) => {
      const all = Object.values(Object(nodes) as Record<string, Json>).map(({ timestamp }) => Number(timestamp))
      return all.length > 0 && all.every(Number.isFinite) ? Math.max(...all) : undefined
    })
    // Who may not ask for statistics of nodes may still lock.
    return yield* Effect.match(times, {
      onSuccess: () => ({ ping: clock, checks }),
      onFailure: ({ message }) => ({
        ping: Effect.as(get("/"), undefined),
        checks: [...checks, { name: "clock", look: Effect.succeed([unchecked("clock", message)]) }]
      })
    })
  })
