/** What can be set wrongly at a Consul, and how to fix it. */
import * as Effect from "#effect/Effect"
import { type Check, type Finding, type Open, unchecked } from "../../common/checkup.js"
import { valid } from "../../common/input.js"
import { asked } from "../http/asked.js"
import * as client from "../http/client.js"
import { isObject, parsed } from "../http/json.js"
import * as shared from "../shared/options.js"
import type { Options } from "./ConsulStorage.js"
import { names, refusals } from "./errors.js"
import * as internal from "./options.js"
import { policy } from "./policy.js"
import * as requests from "./requests.js"

const servers = (peers: ReadonlyArray<unknown>): ReadonlyArray<Finding> => {
  const count = peers.length
  if (count === 1)
    return [
      {
        check: "servers",
        severity: "note",
        wrong: "the data centre has one server",
        leads: "while it is down no lock can be taken, and with its disk the locks are gone",
        cure: "bootstrap_expect = 3, and two servers more"
      }
    ]
  return count % 2 === 0
    ? [
        {
          check: "servers",
          severity: "warning",
          wrong: `the data centre has ${count} servers`,
          leads:
            count === 0
              ? "without a leader no lock can be taken or renewed"
              : `it stands no more failures than with ${count - 1}, and has more that can fail`,
          cure: "consul operator raft list-peers; an odd number of servers"
        }
      ]
    : []
}

interface Agent {
  readonly DevMode?: unknown
  readonly HTTPMaxConnsPerClient?: unknown
}

/** `need`: how many connections a process may open. */
const agent = ({ DevMode, HTTPMaxConnsPerClient }: Agent, need: number): ReadonlyArray<Finding> => {
  const found: Array<Finding> = []
  if (DevMode === true)
    found.push({
      check: "agent",
      severity: "error",
      wrong: "the agent runs with -dev, and keeps its data in memory",
      leads: "a restart forgets locks that are held, and two owners may hold one lock",
      cure: "consul agent -server -data-dir=/var/lib/consul"
    })
  const most = Number(HTTPMaxConnsPerClient ?? 0)
  if (most > 0 && most < need)
    found.push({
      check: "agent",
      severity: "warning",
      wrong: `limits.http_max_conns_per_client is ${most}`,
      leads: `a process opens up to ${need} connections, and all processes of a host share this number: claims and renewals beyond fail`,
      cure: "limits { http_max_conns_per_client = 200 }, and consul reload"
    })
  return found
}

export const checkup: Open<Options> = (options) =>
  Effect.gen(function* () {
    const common = yield* valid(internal.common(options, { url: true, token: true, tls: true, poolSize: true }))
    const poolSize = yield* valid(shared.poolSize(options.poolSize))
    const { own } = yield* Effect.promise(() => import("./withDriver.js"))
    const sources = yield* valid(own(options, poolSize, common.waits))
    const open = (source: Parameters<typeof client.make>[1]) =>
      Effect.acquireRelease(
        Effect.sync(() => client.make(names, source)),
        ({ close }) => close
      )
    const [asks, waits] = [yield* open(sources.asks), yield* open(sources.waits)]
    const { get, mayWrite } = requests.make({ asks, waits }, common)
    const until = () => performance.now() + common.operationTimeout
    const ask = (path: string, also: ReadonlyArray<number> = []) =>
      asked(
        asks,
        refusals,
        {
          operation: "checkup",
          kind: "reads",
          repeatable: true,
          request: { method: "GET", path, body: undefined, headers: {} }
        },
        common.operationTimeout,
        ({ status, text }) =>
          status === 200 || also.includes(status) ? { status, body: parsed(text), text } : undefined
      )
    // It connects: what follows is asked of an agent that is there.
    yield* ask("/v1/status/leader")
    const checks: ReadonlyArray<Check> = [
      {
        name: "servers",
        look: Effect.map(ask("/v1/status/peers"), ({ body }) => servers(Array.isArray(body) ? body : []))
      },
      {
        name: "rights",
        look: Effect.matchEffect(
          Effect.suspend(() => mayWrite("checkup", `${common.prefix}doctor`, until())),
          {
            onSuccess: () => Effect.succeed([]),
            onFailure: (error) =>
              error.reason === "Permission"
                ? Effect.succeed([
                    {
                      check: "rights",
                      severity: "error",
                      wrong: `the token may not write below ${common.prefix}`,
                      leads: "claims, renewals and releases will be refused",
                      cure: `give it a policy with these rules: ${policy(common).replace(/\s+/g, " ").trim()}`
                    } as const
                  ])
                : Effect.fail(error)
          }
        )
      },
      {
        name: "access",
        look: Effect.map(ask("/v1/acl/token/self", [401, 403]), ({ text }): ReadonlyArray<Finding> =>
          /ACL support disabled/i.test(text)
            ? [
                {
                  check: "access",
                  severity: "note",
                  wrong: "there are no access rules (ACL)",
                  leads: "whoever reaches the agent may take and free all locks",
                  cure: 'acl { enabled = true, default_policy = "deny" }, and a token with the rules that ConsulStorage.policy() prints'
                }
              ]
            : []
        )
      },
      {
        name: "agent",
        look: Effect.map(ask("/v1/agent/self", [403]), ({ body, status }) =>
          status === 403
            ? [unchecked("agent", 'the token may not look at it: agent_prefix "" { policy = "read" }')]
            : agent((isObject(body) ? body.DebugConfig : {}) as Agent, poolSize + common.waits)
        )
      }
    ]
    // Leases are observed: no clock of a server counts.
    return {
      ping: Effect.suspend(() => Effect.as(get("checkup", `${common.prefix}doctor`, until()), undefined)),
      checks
    }
  })
