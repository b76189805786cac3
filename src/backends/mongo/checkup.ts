/** What can be set wrongly at a MongoDB, and how to fix it. */
import * as Effect from "#effect/Effect"
import type { Check, Finding, Open } from "../../common/checkup.js"
import { valid } from "../../common/input.js"
import { peer } from "../shared/driverPackage.js"
import * as shared from "../shared/options.js"
import type { Document } from "./executor.js"
import type { Options } from "./MongoStorage.js"
import * as internal from "./options.js"
import * as runner from "./runner.js"
import { batch } from "./storage.js"
import { greet } from "./setup.js"
import { serverTime } from "./versioned.js"

const isRouter = (hello: Document): boolean => hello.msg === "isdbgrid"

const list = (value: unknown): ReadonlyArray<unknown> => (Array.isArray(value) ? value : [])

const members = (hello: Document): ReadonlyArray<Finding> => {
  if (isRouter(hello)) return []
  const found: Array<Finding> = []
  const add = (check: string, severity: Finding["severity"], wrong: string, leads: string, cure: string) =>
    found.push({ check, severity, wrong, leads, cure })
  if (hello.isWritablePrimary === false || hello.ismaster === false)
    add(
      "primary",
      "error",
      "the server is not the primary",
      "every claim will fail",
      "give a URL that names the replica set, and no directConnection: mongodb://host1,host2,host3/database?replicaSet=…"
    )
  if (typeof hello.setName !== "string") {
    add(
      "replica set",
      "warning",
      "the server stands alone, and is no member of a replica set",
      "while it is down no lock can be taken, with its disk the locks are gone, and who waits is not woken but polls",
      "mongod --replSet rs0, then rs.initiate(), and two members more: rs.add(…)"
    )
    return found
  }
  const voters = list(hello.hosts).length
  if (voters < 3 && list(hello.arbiters).length > 0)
    add(
      "replica set",
      "warning",
      `the replica set has ${voters} members with data, and an arbiter`,
      "while one of them is down no write reaches a majority, so no lock can be taken or renewed",
      "replace the arbiter by a member with data: rs.remove(…), rs.add(…)"
    )
  else if (voters < 3)
    add(
      "replica set",
      voters === 2 ? "warning" : "note",
      `the replica set has ${voters} ${voters === 1 ? "member" : "members"}`,
      "while one of them is down no lock can be taken",
      "rs.add(…), until there are three"
    )
  return found
}

const indexes = (collection: string, reply: Document): ReadonlyArray<Finding> =>
  batch(reply).flatMap((index): ReadonlyArray<Finding> => {
    const drop = `db.getCollection(${JSON.stringify(collection)}).dropIndex(${JSON.stringify(index.name)})`
    if (index.expireAfterSeconds !== undefined)
      return [
        {
          check: "indexes",
          severity: "error",
          wrong: `the index ${String(index.name)} deletes documents by their age`,
          leads: "locks that are held may be deleted, and tokens forgotten: two owners may hold one lock",
          cure: drop
        }
      ]
    return index.unique === true && Object.keys(Object(index.key)).join() !== "_id"
      ? [
          {
            check: "indexes",
            severity: "error",
            wrong: `the index ${String(index.name)} is unique`,
            leads: "claims of some locks are refused for what others have",
            cure: drop
          }
        ]
      : []
  })

const needed = ["find", "insert", "update", "remove"]

interface Privilege {
  readonly resource?: { readonly db?: string; readonly collection?: string; readonly anyResource?: boolean }
  readonly actions?: ReadonlyArray<string>
}

/** What the user of the connection lacks, by what the server says of its privileges. */
export const rights = (reply: Document, database: string, collection: string): ReadonlyArray<Finding> => {
  const info = Object(reply.authInfo) as Document
  const user = (list(info.authenticatedUsers)[0] as { readonly user?: unknown } | undefined)?.user
  // Nobody has to log in.
  if (user === undefined) return []
  const may = new Set(
    (list(info.authenticatedUserPrivileges) as ReadonlyArray<Privilege>)
      .filter(
        ({ resource }) =>
          resource?.anyResource === true ||
          ((resource?.db === database || resource?.db === "") &&
            (resource.collection === collection || resource.collection === ""))
      )
      .flatMap(({ actions }) => actions ?? [])
  )
  const missing = needed.filter((action) => !may.has(action))
  return missing.length === 0
    ? []
    : [
        {
          check: "rights",
          severity: missing.join() === "remove" ? "warning" : "error",
          wrong: `the user ${String(user)} may not ${missing.join(", ")} in ${database}.${collection}`,
          leads:
            missing.join() === "remove"
              ? "records of locks that are free are never purged"
              : "claims, renewals or releases will be refused",
          cure: `db.grantRolesToUser(${JSON.stringify(user)}, [{ role: "readWrite", db: ${JSON.stringify(database)} }])`
        }
      ]
}

const direct = (text: string, hello: Document): ReadonlyArray<Finding> =>
  /[?&]directConnection=true/i.test(text) && typeof hello.setName === "string"
    ? [
        {
          check: "directConnection",
          severity: "warning",
          wrong: "the URL leads to one member of a replica set (directConnection=true)",
          leads: "after a failover the program does not find the new primary, and has no lock",
          cure: `take directConnection out of the URL, and name the members: …?replicaSet=${hello.setName}`
        }
      ]
    : []

const engine = ({ storageEngine }: Document): ReadonlyArray<Finding> =>
  (storageEngine as { readonly persistent?: unknown } | undefined)?.persistent === false
    ? [
        {
          check: "storage engine",
          severity: "error",
          wrong: "the server keeps its data in memory",
          leads: "a restart forgets locks that are held, and two owners may hold one lock",
          cure: "mongod --storageEngine wiredTiger"
        }
      ]
    : []

export const checkup: Open<Options> = (options) =>
  Effect.gen(function* () {
    const common = yield* valid(internal.common(options, { url: true, poolSize: true }))
    const poolSize = yield* valid(shared.poolSize(options.poolSize))
    const { executor, own, url } = yield* peer("MongoStorage", ["mongodb"], () => import("./withDriver.js"))
    let text = ""
    const connection = yield* own(options.url, (value) => {
      const resolved = url(value, common.database, poolSize, common.operationTimeout)
      if ("text" in resolved) ({ text } = resolved)
      return resolved
    })
    const { collection } = common
    const { database } = connection
    const settings = { ...common, replicated: false }
    const run = runner.once(executor(connection, database), settings)
    const { greeting, hello } = yield* greet(run)
    const ask = (command: Document) => run("checkup", command)
    const checks: ReadonlyArray<Check> = [
      { name: "members", look: Effect.succeed([...members(hello), ...direct(text, hello)]) },
      {
        name: "indexes",
        look: Effect.map(ask({ listIndexes: collection, cursor: {} }), (reply) => indexes(collection, reply))
      },
      {
        name: "rights",
        look: Effect.map(ask({ connectionStatus: 1, showPrivileges: true }), (reply) =>
          rights(reply, database, collection)
        )
      },
      { name: "storage engine", look: Effect.map(ask({ serverStatus: 1 }), engine) }
    ]
    return {
      ping: Effect.map(ask(greeting), (reply) => {
        const micros = serverTime(reply)
        return micros === undefined ? undefined : micros / 1000
      }),
      checks
    }
  })
