/** The audit as a stream: an entry's time, and its place, are what the server calls its id. */
import * as Effect from "#effect/Effect"
import type { Place, Row, Written } from "../../AuditStore.js"
import { faulty, textFault, valid } from "../../common/input.js"
import type { StorageError } from "../../LockError.js"
import { columns, valuesOf } from "../shared/audit.js"
import { type Call, type Connection, read } from "./connection.js"
import * as replies from "./replies.js"
import * as scripts from "./scripts.js"

const defaultMost = 1_000_000
const pageSize = 500

/** A name that says by itself which slot of a Cluster it is in, and so can others that are to be there. */
const tagged = /\{[^}]+\}/

const nameFault = (name: string): string | undefined =>
  textFault(name) ?? (tagged.test(name) || !name.includes("}") ? undefined : JSON.stringify(name))

/** What the stream is called beside the locks: no lock is called so, if their prefix ends as usual. */
const besides = (prefix: string): string => (prefix.endsWith(":") ? `${prefix.slice(0, -1)}-audit` : `audit:${prefix}`)

/** How far each process has written: a batch that comes again is not added again. Longer than any process tries. */
const memory = 24 * 3600

const keyOfWriter = (name: string, writer: string): string =>
  `${tagged.test(name) ? name : `{${name}}`}:writer:${writer}`

const writerOf = ({ id }: Row): string => id.slice(0, id.lastIndexOf("-"))

const width = columns.length

/** ARGV: how many to keep, how long the memory is, and the rows. */
const append = scripts.bare(`
local last = redis.call('GET', KEYS[2])
local newest
for i = 3, #ARGV, ${width} do
  if not last or ARGV[i] > last then
    redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], '*', ${columns.map((name, i) => `'${name}', ARGV[i + ${i}]`).join(", ")})
    newest = ARGV[i]
  end
end
if newest then redis.call('SET', KEYS[2], newest, 'EX', ARGV[2]) end
return 1
`)

const page = scripts.bare(`return redis.call('XRANGE', KEYS[1], ARGV[1], '+', 'COUNT', ARGV[2])`)

/** ARGV: the age in milliseconds. */
const drop = scripts.bare(`
local t = redis.call('TIME')
return redis.call('XTRIM', KEYS[1], 'MINID', string.format('%.0f', t[1] * 1000 + math.floor(t[2] / 1000) - ARGV[1]))
`)

const rowOf = (entry: unknown): Written => {
  const [id, fields] = replies.list(entry)
  const all = replies.list(fields).map(replies.text)
  const of = new Map<string, string>()
  for (let i = 0; i + 1 < all.length; i += 2) of.set(all[i]!, all[i + 1]!)
  const get = (name: (typeof columns)[number]): string => replies.text(of.get(name))
  return {
    id: get("entry_id"),
    writtenAt: replies.integer(replies.text(id).split("-")[0]),
    at: replies.integer(get("happened_at")),
    event: get("event"),
    namespace: get("namespace"),
    lockId: get("lock_id"),
    ownerId: get("owner_id"),
    ownerLabel: get("owner_label"),
    token: replies.integer(get("token")),
    host: get("host"),
    pid: replies.integer(get("pid")),
    detail: get("detail")
  }
}

/** The next id that could be. Servers before 6.2 have no other way to leave one out. */
const behind = (id: string): string => {
  const [time, sequence] = id.split("-")
  return `${time}-${BigInt(sequence!) + 1n}`
}

export const make =
  (connection: Connection, prefix: string, millis: number): Place =>
  ({ mostEntries = defaultMost, name = besides(prefix) }) =>
    Effect.map(
      valid(
        faulty("name", nameFault(name), 'a key without NUL; with "}" only behind a "{" and something between') ?? name
      ),
      (name) => {
        const run = (
          operation: string,
          script: scripts.Script,
          args: ReadonlyArray<string>,
          more: ReadonlyArray<string> = []
        ): Effect.Effect<unknown, StorageError> => {
          const call: Call = { operation: `audit.${operation}`, millis }
          return connection.script(call, script, [name, ...more], args)
        }
        return {
          append: (rows) => {
            const [first] = rows
            return first === undefined
              ? Effect.void
              : Effect.asVoid(
                  run(
                    "append",
                    append,
                    [String(mostEntries), String(memory), ...rows.flatMap((row) => valuesOf(row).map(String))],
                    [keyOfWriter(name, writerOf(first))]
                  )
                )
          },
          page: ({ after, lockId, namespace, since = 0 }) =>
            Effect.flatMap(
              run("page", page, [
                after === undefined ? `${Math.max(0, Math.floor(since))}-0` : behind(after),
                String(pageSize)
              ]),
              (reply) =>
                read("audit.page", () => {
                  const found = replies.list(reply)
                  const last = found.length < pageSize ? undefined : replies.list(found[found.length - 1])[0]
                  return {
                    rows: found
                      .map(rowOf)
                      .filter((row) => row.namespace === namespace && (lockId ?? row.lockId) === row.lockId),
                    next: last === undefined ? undefined : replies.text(last)
                  }
                })
            ),
          drop: (olderThan) => Effect.asVoid(run("drop", drop, [String(Math.floor(olderThan))]))
        }
      }
    )
