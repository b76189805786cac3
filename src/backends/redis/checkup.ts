/** What can be set wrongly at a Redis or Valkey, and how to fix it. */
import * as Effect from "#effect/Effect"
import { type Check, type Finding, type Look, type Open, unchecked } from "../../common/checkup.js"
import { valid } from "../../common/input.js"
import type { StorageError } from "../../LockError.js"
import { peer } from "../shared/driverPackage.js"
import { common, type ResolvedCommon } from "./options.js"
import * as replies from "./replies.js"
import type { Options } from "./RedisStorage.js"
import * as weak from "./startupFindings.js"

/** A program's connection is idle for a third of its lease. In seconds. */
const shortestIdle = 20

/** One for locks, and one that listens. */
const need = 2

const settingNames = [...weak.names, "timeout", "maxclients", "min-replicas-to-write"]

type Texts = ReadonlyMap<string, string>

/** `name:value`, a line each. */
const fields = (text: string): Texts =>
  new Map(
    text
      .split(/\r?\n/)
      .filter((line) => line.includes(":"))
      .map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1)] as const)
  )

const settings = (found: Texts): ReadonlyArray<Finding> => {
  const timeout = Number(found.get("timeout") ?? 0)
  return timeout > 0 && timeout < shortestIdle
    ? [
        {
          check: "timeout",
          severity: "warning",
          wrong: `timeout is ${timeout} s`,
          leads: "connections end between two renewals, and each renewal needs a new one",
          cure: weak.set("timeout", "0")
        }
      ]
    : []
}

const memory = (info: Texts): ReadonlyArray<Finding> => {
  const [used, most] = [Number(info.get("used_memory")), Number(info.get("maxmemory"))]
  return most > 0 && used > 0.9 * most
    ? [
        {
          check: "memory",
          severity: used >= most ? "error" : "warning",
          wrong: `${used} bytes of maxmemory = ${most} are in use`,
          leads: "claims are refused once it is full",
          cure: `${weak.set("maxmemory", String(2 * most))}; or free some, or give the locks a server of their own`
        }
      ]
    : []
}

const room = (info: Texts, found: Texts): ReadonlyArray<Finding> => {
  const most = Number(info.get("maxclients") ?? found.get("maxclients"))
  const used = Number(info.get("connected_clients"))
  return most - used < need
    ? [
        {
          check: "connections",
          severity: "warning",
          wrong: `${used} of maxclients = ${most} are in use`,
          leads: `a process opens ${need}, and claims and renewals that find none fail`,
          cure: weak.set("maxclients", String(2 * most))
        }
      ]
    : []
}

const replication = (info: Texts, found: Texts, { wait }: ResolvedCommon): ReadonlyArray<Finding> => {
  const looks: Array<Finding> = []
  if (info.get("role") === "slave") looks.push(weak.replica)
  const count = Number(info.get("connected_slaves") ?? 0)
  if (count > 0 && found.get("min-replicas-to-write") === "0" && wait === undefined)
    looks.push({
      check: "replication",
      severity: "warning",
      wrong: `there are replicas (${count}), and min-replicas-to-write is 0`,
      leads:
        "a master that is cut off goes on taking claims, a replica is promoted without the last ones, and two owners may hold one lock",
      cure: "CONFIG SET min-replicas-to-write 1 and CONFIG SET min-replicas-max-lag 10, then CONFIG REWRITE; or the option `wait`"
    })
  return looks
}

interface Right {
  readonly command: ReadonlyArray<string>
  readonly severity: Finding["severity"]
  readonly leads: string
}

const rights = ({ notify }: ResolvedCommon, key: string, channel: string): ReadonlyArray<Right> => {
  const needed = (...command: ReadonlyArray<string>): Right => ({
    command,
    severity: "error",
    leads: "claims, renewals or releases will be refused"
  })
  const less = (leads: string, ...command: ReadonlyArray<string>): Right => ({ command, severity: "warning", leads })
  return [
    needed("eval", "return 1", "1", key),
    needed("evalsha", "0".repeat(40), "1", key),
    needed("time"),
    needed("hmget", key, "version"),
    needed("hget", key, "version"),
    needed("hset", key, "version", "1"),
    needed("exists", key),
    less("where the server is full, holds cannot be renewed or released", "persist", key),
    less("records of locks that are free are never purged", "del", key),
    less("locks cannot be listed, nor purged", "scan", "0"),
    ...(notify
      ? [
          less("who waits is not woken, and polls", "publish", channel, "x"),
          less("who waits is not woken, and polls", "subscribe", channel)
        ]
      : [])
  ]
}

/** What is given: the command, or the keys or channels that it is for. */
const given = (answer: string, command: string, prefix: string): string =>
  /\bkey\b/.test(answer) ? `~${prefix}*` : /channel/.test(answer) ? `&${prefix}*` : `+${command}`

const plain = /^[\w.@-]+$/

const lacking = (right: Right, answer: string, user: string, prefix: string): Finding => ({
  check: "rights",
  severity: right.severity,
  wrong: `the user ${user} may not ${right.command[0]!.toUpperCase()} here (${answer})`,
  leads: right.leads,
  cure: `ACL SETUSER ${plain.test(user) ? user : JSON.stringify(user)} ${given(answer, right.command[0]!, prefix)}, then ACL SAVE or CONFIG REWRITE`
})

export const checkup: Open<Options> = (options) =>
  Effect.gen(function* () {
    const resolved = yield* valid(common(options, { url: true, redis: true, password: true }))
    const { reach } = yield* peer("RedisStorage", ["ioredis"], () => import("./withDriver.js"))
    const { connection, keyPrefix } = yield* reach(options, resolved)
    const call = { operation: "checkup", millis: resolved.operationTimeout }
    const ask = (name: string, ...args: ReadonlyArray<string>): Effect.Effect<unknown, StorageError> =>
      connection.command(call, name, args, undefined)
    // It connects: what follows is asked of a server that is there.
    yield* ask("time")

    const info = (section: string) => Effect.map(ask("info", section), (reply) => fields(String(reply)))
    const config = Effect.map(
      Effect.forEach(settingNames, (name) =>
        // One by one: servers before 7.0 take one name.
        Effect.map(ask("config", "get", name), (reply) => [name, Array.isArray(reply) ? reply[1] : undefined] as const)
      ),
      (all): Texts => new Map(all.flatMap(([name, value]) => (value === undefined ? [] : [[name, String(value)]])))
    )
    const prefix = keyPrefix + resolved.prefix

    const may: Effect.Effect<ReadonlyArray<Look>, StorageError> = Effect.gen(function* () {
      const user = String(yield* ask("acl", "whoami"))
      const found: Array<Look> = []
      for (const right of rights(resolved, `${prefix}doctor`, `${prefix}wake-ups`)) {
        const answer = String(yield* ask("acl", "dryrun", user, ...right.command))
        if (answer !== "OK") found.push(lacking(right, answer, user, prefix))
      }
      return found
    })

    const checks: ReadonlyArray<Check> = [
      { name: "durability", look: Effect.map(config, weak.ofSettings) },
      { name: "settings", look: Effect.map(config, settings) },
      { name: "memory", look: Effect.map(info("memory"), memory) },
      {
        name: "connections",
        look: Effect.flatMap(config, (found) => Effect.map(info("clients"), (clients) => room(clients, found)))
      },
      {
        name: "replication",
        look: Effect.flatMap(config, (found) =>
          Effect.map(info("replication"), (seen) => replication(seen, found, resolved))
        )
      },
      {
        name: "rights",
        look: Effect.catchIf(
          may,
          ({ reason }) => reason !== "Connection" && reason !== "Timeout",
          ({ message }) =>
            Effect.succeed([
              unchecked("rights", `servers from 7.0 on tell them, to who may +acl|whoami +acl|dryrun (${message})`)
            ])
        )
      }
    ]
    const clock = Effect.map(ask("time"), (reply) => {
      const [seconds, micros] = replies.list(reply)
      return Number(seconds) * 1000 + Number(micros) / 1000
    })
    return { ping: clock, checks }
  })
