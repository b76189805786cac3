/** etcd as a store of observed expiry: a transaction compares the revision of the key, and answers with what is there if it is another. */
import * as Effect from "#effect/Effect"
import { StorageError } from "../../LockError.js"
import type { ResolvedOperation } from "../shared/options.js"
import * as engine from "../shared/observed/engine.js"
import type { Page, Replies, Reply, Seen, Store } from "../shared/observed/store.js"
import type { Client } from "./client.js"
import * as errors from "./errors.js"
import * as grouping from "./grouping.js"
import * as protocol from "./protocol.js"
import * as records from "./records.js"
import * as requests from "./requests.js"

/** The state is the value as it stands in the store; the cursor is a key. */
export type State = Buffer
export type Cursor = Buffer

export interface Engine extends engine.Engine<State, Cursor> {
  /** Whether there is a leader and we may read, and at which revision the store is. */
  readonly probe: (until: number) => Effect.Effect<void, StorageError>
  /** Notes what a watch has told, and says whether the lock may be free for somebody now. */
  readonly told: (lockId: string, kv: protocol.KeyValue, deleted: boolean) => Effect.Effect<boolean>
}

const pageSize = 500

const absent: Seen<State> = { record: undefined, revision: 0 }

const seen = (operation: string, lockId: string, kv: protocol.KeyValue): Seen<State> | StorageError => {
  const record = records.decode(operation, lockId, kv)
  return record instanceof StorageError ? record : { record, revision: kv.modRevision, state: kv.value }
}

const storeOf = (client: Client, keys: records.Keys): Store<State, Cursor> => {
  /** How many parts a transaction may have: fewer, once a server has said that one had too many. Nothing of that one was applied. */
  let most = Number.POSITIVE_INFINITY

  type Send = Store<State, Cursor>["send"]

  const whole: Send = (operation, parts, until) => {
    const sent = parts.map(({ ask, lockId }) => ({
      key: keys.key(lockId),
      write:
        ask._tag === "Write"
          ? { base: ask.base, bytes: ask.next === undefined ? undefined : records.encode(ask.next) }
          : undefined
    }))
    return Effect.map(requests.send(client, operation, sent, until), ({ header, replies }): Replies<State> => {
      const { revision } = header
      return {
        indexes: [revision],
        replies: parts.map(({ ask, lockId }, i): Reply<State> => {
          const { kv, written } = replies[i]!
          if (written && ask._tag === "Write") {
            const { next } = ask
            return {
              _tag: "Written",
              seen: next === undefined ? absent : { record: next, revision, state: sent[i]!.write!.bytes! }
            }
          }
          const found = kv === undefined ? absent : seen(operation, lockId, kv)
          return found instanceof StorageError ? found : { _tag: "Present", seen: found }
        })
      }
    })
  }

  const send: Send = (operation, parts, until) =>
    Effect.suspend(() => {
      const halves = Effect.suspend(() => {
        const half = (parts.length + 1) >> 1
        return Effect.zipWith(
          send(operation, parts.slice(0, half), until),
          send(operation, parts.slice(half), until),
          (a, b): Replies<State> => ({
            indexes: [...a.indexes!, ...b.indexes!],
            replies: [...a.replies, ...b.replies]
          })
        )
      })
      return parts.length > most
        ? halves
        : Effect.catchIf(
            whole(operation, parts, until),
            (error) => parts.length > 1 && errors.codeOf(error.cause) === errors.code.invalidArgument,
            ({ cause }) => {
              if (errors.isTooManyParts(cause)) most = Math.min(most, parts.length - 1)
              return halves
            }
          )
    })

  return {
    name: "EtcdStorage",
    send: grouping.make(send),
    page: (operation, from = keys.first, until) =>
      Effect.map(
        client.call(operation, protocol.range, { key: from, rangeEnd: keys.end, limit: pageSize }, until, "reads"),
        ({ header, kvs, more }): Page<State, Cursor> => {
          const last = kvs[kvs.length - 1]
          return {
            index: header.revision,
            all: kvs.map((kv) => seen(operation, keys.lockId(kv.key), kv)),
            next: more && last !== undefined ? Buffer.concat([last.key, Buffer.of(0)]) : undefined
          }
        }
      )
  }
}

export const make = (client: Client, keys: records.Keys, settings: ResolvedOperation): Engine => {
  const core = engine.make(storeOf(client, keys), settings)
  return {
    ...core,
    probe: (until) =>
      Effect.map(
        client.call(
          "setup",
          protocol.range,
          { key: keys.first, rangeEnd: keys.end, limit: 1, keysOnly: true },
          until,
          "reads"
        ),
        ({ header }) => core.learn(header.revision)
      ),
    told: (lockId, kv, deleted) => {
      const found = deleted ? absent : seen("wakeUps", lockId, kv)
      return found instanceof StorageError ? Effect.succeed(false) : core.note(lockId, found, kv.modRevision)
    }
  }
}
