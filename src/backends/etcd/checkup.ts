/** What can be set wrongly at an etcd cluster, and how to fix it. */
import * as Effect from "#effect/Effect"
import { type Check, type Finding, type Look, majority, type Open, unchecked } from "../../common/checkup.js"
import { valid } from "../../common/input.js"
import type { StorageError } from "../../LockError.js"
import { peer } from "../shared/driverPackage.js"
import type { Options } from "./EtcdStorage.js"
import * as internal from "./options.js"
import type { Members, Method, Permission, Status } from "./protocol.js"
import * as weak from "./startupFindings.js"

/** From when on something is told. */
export interface Limits {
  /** Changes that nobody has compacted. */
  readonly history: number
}

const limits: Limits = { history: 1_000_000 }

/** What etcd may have if nothing is said. In bytes. */
const defaultQuota = 2 * 2 ** 30

const size = ({ dbSize, dbSizeQuota }: Status): ReadonlyArray<Finding> => {
  const quota = dbSizeQuota > 0 ? dbSizeQuota : defaultQuota
  if (dbSize <= 0.8 * quota) return []
  const isSaid = dbSizeQuota > 0
  return [
    {
      check: "quota",
      severity: "warning",
      wrong: `the database has ${dbSize} bytes of ${isSaid ? "its quota of" : "what is the default quota,"} ${quota}`,
      leads: "at its quota the cluster raises NOSPACE, and refuses every claim until somebody disarms it",
      cure: weak.makeRoom
    }
  ]
}

const leader = ({ leader }: Status): ReadonlyArray<Finding> =>
  leader !== 0
    ? []
    : [
        {
          check: "leader",
          severity: "error",
          wrong: "the member knows of no leader",
          leads: "no lock can be taken or renewed",
          cure: "start the members that are down: etcdctl endpoint status --cluster"
        }
      ]

const members = ({ members }: Members, endpoints: number): ReadonlyArray<Finding> => {
  const voters = members.filter(({ isLearner }) => !isLearner).length
  const alone: Finding = {
    check: "members",
    severity: "note",
    wrong: "the cluster has one member",
    leads: "while it is down no lock can be taken, and with its disk the locks are gone",
    cure: "etcdctl member add, until there are three"
  }
  return [
    ...(voters === 1 ? [alone] : []),
    ...majority({
      all: "cluster",
      are: "members",
      inAll: voters,
      named: endpoints,
      odd: "etcdctl member add, or remove: an odd number",
      url: "etcd://host1:2379,host2:2379,host3:2379"
    })
  ]
}

/** The first key after all that begin with it. */
const endOf = (prefix: Buffer): Buffer => {
  const end = Buffer.from(prefix)
  end[end.length - 1]! += 1
  return end
}

/** Whether one of them covers all keys of the prefix. A `rangeEnd` of one zero byte has no end. */
const covers = (all: ReadonlyArray<Permission>, types: ReadonlyArray<number>, prefix: Buffer): boolean =>
  all.some(
    ({ key, permType, rangeEnd }) =>
      types.includes(permType) &&
      rangeEnd.length > 0 &&
      key.compare(prefix) <= 0 &&
      (rangeEnd.equals(Buffer.of(0)) || rangeEnd.compare(endOf(prefix)) >= 0)
  )

const rights = (user: string, roles: ReadonlyArray<string>, all: ReadonlyArray<Permission>, prefix: string) => {
  const lacks = [
    ["read", [0, 2]],
    ["write", [1, 2]]
  ] as const
  const missing = lacks.filter(([, types]) => !covers(all, types, Buffer.from(prefix))).map(([name]) => name)
  return missing.length === 0 || roles.includes("root")
    ? []
    : [
        {
          check: "rights",
          severity: "error",
          wrong: `the user ${user} has no right to ${missing.join(" and ")} all keys below ${prefix}`,
          leads: "claims, renewals or releases will be refused",
          cure: `etcdctl role grant-permission ${roles[0] ?? "locks"} --prefix=true readwrite ${prefix}${
            roles[0] === undefined ? `; etcdctl user grant-role ${user} locks` : ""
          }`
        } as const
      ]
}

export const open =
  ({ history }: Limits): Open<Options> =>
  (options) =>
    Effect.gen(function* () {
      const common = yield* valid(internal.common(options, { url: true, user: true, tls: true }))
      const { client, protocol, source } = yield* peer(
        "EtcdStorage",
        ["@grpc/grpc-js", "@grpc/proto-loader"],
        () => import("./withDriver.js")
      )
      const reach = yield* valid(source({ url: options.url, tls: options.tls, user: options.user }))
      const etcd = yield* client({ source: reach, owned: true })
      /** The time of a call begins when it is made. */
      const ask = <I, O>(method: Method<I, O>, request: I): Effect.Effect<O, StorageError> =>
        Effect.suspend(() =>
          etcd.call("checkup", method, request, performance.now() + common.operationTimeout, "reads")
        )
      const prefix = Buffer.from(common.prefix)
      const status = yield* ask(protocol.status, {})
      const { opens, user } = yield* reach.now("checkup", performance.now())
      const range = (revision: number) => ask(protocol.range, { key: prefix, keysOnly: true, limit: 1, revision })

      const compaction: Effect.Effect<ReadonlyArray<Look>, never> = status.header.revision <= history
        ? Effect.succeed([])
        : Effect.match(range(status.header.revision - history), {
            // What was compacted is refused.
            onFailure: () => [],
            onSuccess: (): ReadonlyArray<Look> => [
              {
                check: "compaction",
                severity: "warning",
                wrong: `the last ${history} changes were never compacted`,
                leads: "each renewal makes the database greater, until it is at its quota and claims are refused",
                cure: "etcd --auto-compaction-mode=periodic --auto-compaction-retention=1h; and for now etcdctl compact, etcdctl defrag"
              }
            ]
          })

      const checks: ReadonlyArray<Check> = [
        { name: "state", look: Effect.succeed([...weak.findings(status), ...leader(status)]) },
        { name: "quota", look: Effect.succeed(size(status)) },
        { name: "compaction", look: compaction },
        {
          name: "members",
          look: Effect.map(ask(protocol.memberList, {}), (list) => members(list, opens.length))
        },
        {
          name: "rights",
          look:
            user === undefined
              ? Effect.succeed([])
              : Effect.gen(function* () {
                  const { roles } = yield* ask(protocol.userGet, { name: user.name })
                  const all: Array<Permission> = []
                  for (const role of roles) all.push(...(yield* ask(protocol.roleGet, { role })).perm)
                  return rights(user.name, roles, all, common.prefix)
                }).pipe(
                  Effect.catchIf(
                    ({ reason }) => reason === "Permission",
                    ({ message }) => Effect.succeed([unchecked("rights", message)])
                  )
                )
        }
      ]
      // Leases are observed: no clock of the cluster counts.
      return {
        ping: Effect.as(ask(protocol.range, { key: prefix, limit: 1, keysOnly: true }), undefined),
        checks
      }
    })

export const checkup = open(limits)
