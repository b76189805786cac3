/** Reads, and writes by compare-and-set, each as one request; many of them as one transaction of transactions. */
import * as Effect from "#effect/Effect"
import type { StorageError } from "../../LockError.js"
import type { Seen } from "../shared/observed/store.js"
import type { Client } from "./client.js"
import * as errors from "./errors.js"
import * as protocol from "./protocol.js"

/** Puts these bytes (nothing: the key goes), if the key is still as it was seen. */
export interface Write {
  readonly base: Seen<Buffer>
  readonly bytes: Buffer | undefined
}

/** A read, or a write. */
export interface Part {
  readonly key: Buffer
  readonly write: Write | undefined
}

/** What is there, unless it was written. */
export interface Reply {
  readonly written: boolean
  readonly kv: protocol.KeyValue | undefined
}

export interface Replies {
  /** Of the whole: a write has this revision. */
  readonly header: { readonly revision: number }
  readonly replies: ReadonlyArray<Reply>
}

/** By the revision, and by the value: a store that was restored gives the same revisions again, to other writes. */
const transaction = (key: Buffer, { base, bytes }: Write): protocol.TxnRequest => ({
  compare: [
    { target: protocol.modRevision, key, modRevision: base.revision },
    ...(base.state === undefined ? [] : [{ target: protocol.value, key, value: base.state }])
  ],
  success: [bytes === undefined ? { delete: { key } } : { put: { key, value: bytes } }],
  failure: [{ range: { key } }]
})

const looked = (range: protocol.RangeResponse | null | undefined): Reply => ({ written: false, kv: range?.kvs[0] })

const tried = (txn: Omit<protocol.TxnResponse, "header">): Reply =>
  txn.succeeded ? { written: true, kv: undefined } : looked(txn.responses[0]?.range)

export const send = (
  client: Client,
  operation: string,
  parts: ReadonlyArray<Part>,
  until: number
): Effect.Effect<Replies, StorageError> => {
  const [part] = parts
  if (parts.length === 1 && part!.write === undefined) {
    return Effect.map(client.call(operation, protocol.range, { key: part!.key }, until, "reads"), (found) => ({
      header: found.header,
      replies: [looked(found)]
    }))
  }
  if (parts.length === 1) {
    const request = transaction(part!.key, part!.write!)
    const plain = Effect.map(client.call(operation, protocol.txn, request, until, "writes"), (found) => ({
      header: found.header,
      replies: [tried(found)]
    }))
    return keeping.has(operation) ? Effect.catchIf(plain, isFull, () => many(client, operation, parts, until)) : plain
  }
  return many(client, operation, parts, until)
}

/** What keeps or frees, and takes nothing. */
const keeping = new Set(["renew", "release", "revoke"])

/**
 * The database is at its quota, and nothing was written. Then etcd refuses transactions that put something, and does not look into those within another one: so what keeps or frees a lock passes,
 * some hundred bytes each, while nobody can take one.
 */
const isFull = (error: StorageError): boolean => errors.codeOf(error.cause) === errors.code.resourceExhausted

const many = (
  client: Client,
  operation: string,
  parts: ReadonlyArray<Part>,
  until: number
): Effect.Effect<Replies, StorageError> => {
  const success = parts.map(({ key, write }): protocol.RequestOp =>
    write === undefined ? { range: { key } } : { txn: transaction(key, write) }
  )
  // Never done, since nothing is compared; but so a server that is full sees that something is taken.
  const failure = keeping.has(operation) ? [] : [{ put: { key: parts[0]!.key, value: Buffer.alloc(0) } }]
  return Effect.map(
    client.call(operation, protocol.txn, { compare: [], success, failure }, until, "writes"),
    (found) => ({
      header: found.header,
      replies: found.responses.map(({ range, txn }) => (txn === null || txn === undefined ? looked(range) : tried(txn)))
    })
  )
}
