/**
 * The few messages of etcd's API v3 that are used here, with the field numbers of its public `rpc.proto`. Enums are their numbers, which is the same on the wire.
 */
import { fromJSON } from "@grpc/proto-loader"

type Fields = Readonly<Record<string, readonly [type: string, id: number, rule?: "repeated"]>>

const message = (fields: Fields, oneof: Record<string, ReadonlyArray<string>> = {}) => ({
  fields: Object.fromEntries(
    Object.entries(fields).map(([name, [type, id, rule]]) => [
      name,
      rule === undefined ? { type, id } : { type, id, rule }
    ])
  ),
  oneofs: Object.fromEntries(Object.entries(oneof).map(([name, fields]) => [name, { oneof: [...fields] }]))
})

const service = (...names: ReadonlyArray<string>) => ({
  methods: Object.fromEntries(
    names.map((name) => [
      name,
      {
        requestType: `${name}Request`,
        responseType: `${name}Response`,
        ...(name === "Watch" ? { requestStream: true, responseStream: true } : {})
      }
    ])
  )
})

const json = {
  nested: {
    etcdserverpb: {
      nested: {
        KV: service("Range", "Txn"),
        Watch: service("Watch"),
        Auth: service("Authenticate", "UserGet", "RoleGet"),
        Maintenance: service("Status"),
        Cluster: service("MemberList"),
        // Ids are told apart by the 53 bits that are left of them.
        ResponseHeader: message({ clusterId: ["uint64", 1], revision: ["int64", 3] }),
        KeyValue: message({ key: ["bytes", 1], modRevision: ["int64", 3], value: ["bytes", 5] }),
        RangeRequest: message({
          key: ["bytes", 1],
          rangeEnd: ["bytes", 2],
          limit: ["int64", 3],
          revision: ["int64", 4],
          keysOnly: ["bool", 8]
        }),
        RangeResponse: message({ header: ["ResponseHeader", 1], kvs: ["KeyValue", 2, "repeated"], more: ["bool", 3] }),
        PutRequest: message({ key: ["bytes", 1], value: ["bytes", 2] }),
        PutResponse: message({}),
        DeleteRangeRequest: message({ key: ["bytes", 1] }),
        DeleteRangeResponse: message({}),
        Compare: message(
          {
            result: ["int32", 1],
            target: ["int32", 2],
            key: ["bytes", 3],
            modRevision: ["int64", 6],
            value: ["bytes", 7]
          },
          { union: ["modRevision", "value"] }
        ),
        RequestOp: message(
          {
            range: ["RangeRequest", 1],
            put: ["PutRequest", 2],
            delete: ["DeleteRangeRequest", 3],
            txn: ["TxnRequest", 4]
          },
          { request: ["range", "put", "delete", "txn"] }
        ),
        ResponseOp: message(
          {
            range: ["RangeResponse", 1],
            put: ["PutResponse", 2],
            delete: ["DeleteRangeResponse", 3],
            txn: ["TxnResponse", 4]
          },
          { response: ["range", "put", "delete", "txn"] }
        ),
        TxnRequest: message({
          compare: ["Compare", 1, "repeated"],
          success: ["RequestOp", 2, "repeated"],
          failure: ["RequestOp", 3, "repeated"]
        }),
        TxnResponse: message({
          header: ["ResponseHeader", 1],
          succeeded: ["bool", 2],
          responses: ["ResponseOp", 3, "repeated"]
        }),
        WatchCreateRequest: message({ key: ["bytes", 1], rangeEnd: ["bytes", 2] }),
        WatchRequest: message({ create: ["WatchCreateRequest", 1] }, { union: ["create"] }),
        Event: message({ type: ["int32", 1], kv: ["KeyValue", 2] }),
        WatchResponse: message({
          header: ["ResponseHeader", 1],
          created: ["bool", 3],
          canceled: ["bool", 4],
          compactRevision: ["int64", 5],
          cancelReason: ["string", 6],
          events: ["Event", 11, "repeated"]
        }),
        AuthenticateRequest: message({ name: ["string", 1], password: ["string", 2] }),
        AuthenticateResponse: message({ header: ["ResponseHeader", 1], token: ["string", 2] }),
        StatusRequest: message({}),
        StatusResponse: message({
          header: ["ResponseHeader", 1],
          version: ["string", 2],
          dbSize: ["int64", 3],
          leader: ["uint64", 4],
          errors: ["string", 8, "repeated"],
          dbSizeInUse: ["int64", 9],
          isLearner: ["bool", 10],
          dbSizeQuota: ["int64", 12]
        }),
        UserGetRequest: message({ name: ["string", 1] }),
        UserGetResponse: message({ header: ["ResponseHeader", 1], roles: ["string", 2, "repeated"] }),
        RoleGetRequest: message({ role: ["string", 1] }),
        Permission: message({ permType: ["int32", 1], key: ["bytes", 2], rangeEnd: ["bytes", 3] }),
        RoleGetResponse: message({ header: ["ResponseHeader", 1], perm: ["Permission", 2, "repeated"] }),
        MemberListRequest: message({}),
        Member: message({ name: ["string", 2], isLearner: ["bool", 5] }),
        MemberListResponse: message({ header: ["ResponseHeader", 1], members: ["Member", 2, "repeated"] })
      }
    }
  }
}

// Revisions are below 2^53 for as long as anybody lives.
const definition = fromJSON(json as Parameters<typeof fromJSON>[0], { longs: Number, defaults: true, arrays: true })

export interface KeyValue {
  readonly key: Buffer
  readonly modRevision: number
  readonly value: Buffer
}

export interface RangeRequest {
  readonly key: Buffer
  readonly rangeEnd?: Buffer
  readonly limit?: number
  /** As it was then. */
  readonly revision?: number
  readonly keysOnly?: boolean
}

export interface Header {
  readonly header: { readonly clusterId: number; readonly revision: number }
}

export interface RangeResponse extends Header {
  readonly kvs: ReadonlyArray<KeyValue>
  readonly more: boolean
}

/** `result` and `target` are left out where they are 0. */
export type Compare = { readonly target: number; readonly key: Buffer } & (
  { readonly modRevision: number } | { readonly value: Buffer }
)

/** `Compare.target` for the revision of a key's last change, which is 0 where there is no such key. */
export const modRevision = 2

/** `Compare.target` for a key's value. */
export const value = 3

export type RequestOp =
  | { readonly range: RangeRequest }
  | { readonly put: { readonly key: Buffer; readonly value: Buffer } }
  | { readonly delete: { readonly key: Buffer } }
  | { readonly txn: TxnRequest }

export interface TxnRequest {
  readonly compare: ReadonlyArray<Compare>
  readonly success: ReadonlyArray<RequestOp>
  readonly failure: ReadonlyArray<RequestOp>
}

export interface ResponseOp {
  readonly range?: RangeResponse | null
  readonly txn?: Omit<TxnResponse, "header"> | null
}

export interface TxnResponse extends Header {
  readonly succeeded: boolean
  readonly responses: ReadonlyArray<ResponseOp>
}

export interface WatchRequest {
  readonly create: { readonly key: Buffer; readonly rangeEnd: Buffer }
}

export interface WatchResponse extends Header {
  readonly created: boolean
  readonly canceled: boolean
  readonly compactRevision: number
  readonly cancelReason: string
  readonly events: ReadonlyArray<{ readonly type: number; readonly kv: KeyValue }>
}

export interface Status extends Header {
  readonly version: string
  /** 0 if the member knows of none. */
  readonly leader: number
  /** Alarms that are raised. */
  readonly errors: ReadonlyArray<string>
  readonly isLearner: boolean
  /** In bytes: of its file, of what is in use of it, and the most that it may be (0 before 3.6, which do not say). */
  readonly dbSize: number
  readonly dbSizeInUse: number
  readonly dbSizeQuota: number
}

export interface Members {
  readonly members: ReadonlyArray<{ readonly name: string; readonly isLearner: boolean }>
}

/** `permType`: 0 is to read, 1 to write, 2 both. */
export interface Permission {
  readonly permType: number
  readonly key: Buffer
  readonly rangeEnd: Buffer
}

/** A method as a gRPC client takes it. */
export interface Method<I, O> {
  readonly path: string
  readonly serialize: (value: I) => Buffer
  readonly deserialize: (bytes: Buffer) => O
  /** Whether an answer has what is read of it: lists are lists already, messages may be missing. */
  readonly isRight: (answer: O, request: I) => boolean
}

const method = <I, O>(service: string, name: string, isRight: Method<I, O>["isRight"]): Method<I, O> => {
  const found = (
    definition[`etcdserverpb.${service}`] as unknown as Record<
      string,
      {
        readonly path: string
        readonly requestSerialize: (value: I) => Buffer
        readonly responseDeserialize: (bytes: Buffer) => O
      }
    >
  )[name]!
  return { path: found.path, serialize: found.requestSerialize, deserialize: found.responseDeserialize, isRight }
}

const hasHeader = ({ header }: Header): boolean => ((header as Header["header"] | null)?.revision ?? 0) > 0

const isPair = (kv: KeyValue | null | undefined): boolean => Buffer.isBuffer(kv?.key) && Buffer.isBuffer(kv.value)

const areFound = (found: Pick<RangeResponse, "kvs"> | null | undefined): boolean =>
  found === null || found === undefined || found.kvs.every(isPair)

/** Down to what a transaction within a transaction found. */
const areAnswers = (
  { responses, succeeded }: Omit<TxnResponse, "header">,
  { failure, success }: TxnRequest
): boolean => {
  const asked = succeeded ? success : failure
  return (
    responses.length === asked.length &&
    responses.every(({ range, txn }, i) => {
      const one = asked[i]!
      return areFound(range) && ("txn" in one ? txn !== null && txn !== undefined && areAnswers(txn, one.txn) : true)
    })
  )
}

export const range = method<RangeRequest, RangeResponse>(
  "KV",
  "Range",
  (answer) => hasHeader(answer) && areFound(answer)
)
export const txn = method<TxnRequest, TxnResponse>(
  "KV",
  "Txn",
  (answer, request) => hasHeader(answer) && areAnswers(answer, request)
)
export const watch = method<WatchRequest, WatchResponse>("Watch", "Watch", ({ events }) =>
  events.every(({ kv }) => isPair(kv))
)
export const authenticate = method<
  { readonly name: string; readonly password: string },
  { readonly token: string } & Header
>("Auth", "Authenticate", ({ token }) => typeof token === "string")
export const status = method<Record<string, never>, Status>("Maintenance", "Status", () => true)
export const memberList = method<Record<string, never>, Members>("Cluster", "MemberList", () => true)
export const userGet = method<{ readonly name: string }, { readonly roles: ReadonlyArray<string> }>(
  "Auth",
  "UserGet",
  () => true
)
export const roleGet = method<{ readonly role: string }, { readonly perm: ReadonlyArray<Permission> }>(
  "Auth",
  "RoleGet",
  () => true
)
