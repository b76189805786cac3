/** What can be set wrongly at a ZooKeeper, and how to fix it. */
import * as Effect from "#effect/Effect"
import { type Check, type Finding, type Look, majority, type Open, unchecked } from "../../common/checkup.js"
import { valid } from "../../common/input.js"
import * as protocol from "./client/protocol.js"
import * as clients from "./client.js"
import { ask } from "./fourLetters.js"
import * as internal from "./options.js"
import * as sources from "./source.js"
import type { Options } from "./ZookeeperStorage.js"

/** One for locks, and one to be woken. */
const need = 2

const { permission } = protocol

const access = (root: string, acls: ReadonlyArray<protocol.Acl>, hasUser: boolean): ReadonlyArray<Finding> => {
  const found: Array<Finding> = []
  const anyone = acls
    .filter(({ id, scheme }) => scheme === "world" && id === "anyone")
    .reduce((all, { permissions }) => all | permissions, 0)
  if (acls.some(({ permissions }) => (permissions & permission.delete) !== 0))
    found.push({
      check: "access",
      severity: "warning",
      wrong: `nodes below ${root} may be deleted`,
      leads:
        "a lock's node that is recreated counts its changes from 0, and a write of before may be taken for one of now: two owners may hold one lock",
      cure: `setAcl ${root} ${hasUser ? "auth::rwca" : "world:anyone:rwca"}`
    })
  if ((anyone & (permission.write | permission.create | permission.admin)) !== 0)
    found.push({
      check: "access",
      severity: hasUser ? "warning" : "note",
      wrong: `anybody may write to ${root}`,
      leads: "whoever reaches the ensemble may take and free all locks",
      cure: hasUser
        ? `setAcl -R ${root} auth::rwca`
        : `give the URL a user: zookeeper://user:password@…; then addauth digest user:password, and setAcl -R ${root} auth::rwca`
    })
  return found
}

const ensemble = (conf: string, named: number): ReadonlyArray<Finding> => {
  const voters = conf.match(/^server\.\d+=(?!.*:observer)/gm)?.length ?? 0
  const found: Array<Finding> = [
    ...majority({
      all: "ensemble",
      are: "servers",
      inAll: voters,
      named,
      odd: "an odd number of servers in zoo.cfg",
      url: "zookeeper://host1:2181,host2:2181,host3:2181"
    })
  ]
  const most = Number(/^maxClientCnxns=(\d+)$/m.exec(conf)?.[1] ?? 0)
  if (most > 0 && most < 10 * need)
    found.push({
      check: "connections",
      severity: "warning",
      wrong: `maxClientCnxns is ${most}`,
      leads: `each process opens ${need} connections, so no more than ${Math.floor(most / need)} processes of one host have locks`,
      cure: "maxClientCnxns=60 in zoo.cfg, and restart the servers one by one"
    })
  return found
}

const mode = (srvr: string): ReadonlyArray<Finding> =>
  /^Mode: standalone$/m.test(srvr)
    ? [
        {
          check: "servers",
          severity: "note",
          wrong: "there is one server",
          leads: "while it is down no lock can be taken, and with its disk the locks are gone",
          cure: "an ensemble of three: server.1=…, server.2=…, server.3=… in zoo.cfg"
        }
      ]
    : []

export const checkup: Open<Options> = (options) =>
  Effect.gen(function* () {
    const common = yield* valid(internal.common(options, { url: true, user: true, tls: true }))
    const source = yield* valid(sources.make({ url: options.url, user: options.user, tls: options.tls }))
    const zookeeper = yield* clients.make(source, { ...common, setup: false })
    const until = () => performance.now() + common.operationTimeout
    const send = <A>(request: () => protocol.Request<A>) =>
      Effect.suspend(() =>
        Effect.flatMap(zookeeper.send("checkup", [request()], until()), ([answer]) => {
          const fault = clients.faultOf("checkup", answer!)
          return fault === undefined ? Effect.succeed((answer as { readonly value: A }).value) : Effect.fail(fault)
        })
      )
    const look = send(() => protocol.sync(zookeeper.root()))
    // It connects, and has the root: what follows is asked of servers that are there.
    yield* look
    const place = yield* source("checkup", until())
    const servers = place.servers
    const say = (name: string, word: "srvr" | "conf", read: (text: string) => ReadonlyArray<Finding>): Check => ({
      name,
      look:
        place.tls !== undefined
          ? Effect.succeed([unchecked(name, `over TLS a server does not answer ${word}: ask it at its own machine`)])
          : Effect.map(ask(servers[0]!, word), (text): ReadonlyArray<Look> =>
              text === undefined
                ? [unchecked(name, `4lw.commands.whitelist=srvr,conf in zoo.cfg lets it be asked`)]
                : read(text)
            )
    })
    const checks: ReadonlyArray<Check> = [
      {
        name: "access",
        look: Effect.map(
          send(() => protocol.getAcl(zookeeper.root())),
          (acls) => access(zookeeper.root(), acls, place.credentials.length > 0)
        )
      },
      say("mode", "srvr", mode),
      say("servers", "conf", (conf) => ensemble(conf, servers.length))
    ]
    // Leases are observed: no clock of a server counts.
    return { ping: Effect.as(look, undefined), checks }
  })
