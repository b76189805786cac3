/** The few requests of ZooKeeper that are used here, with the numbers of its public `zookeeper.jute`. */
import { Reader, Writer } from "./jute.js"

/** What became of a request, beside success. */
export const code = {
  ok: 0,
  systemError: -1,
  unimplemented: -6,
  operationTimeout: -7,
  badArguments: -8,
  noNode: -101,
  noAuth: -102,
  badVersion: -103,
  nodeExists: -110,
  sessionExpired: -112,
  invalidAcl: -114,
  authFailed: -115,
  sessionMoved: -118,
  notReadOnly: -119,
  quotaExceeded: -125,
  throttled: -127
} as const

/** Numbers of requests that are none of somebody's. */
export const xid = { watchEvent: -1, ping: -2, auth: -4 } as const

/** What a node is like. */
export interface Stat {
  /** Of the change that made it: never that of another node, nor of one that was there before. */
  readonly czxid: number
  /** Of the last change of its data. */
  readonly mzxid: number
  /** Counts the changes of its data, from 0. */
  readonly version: number
}

export interface Acl {
  readonly permissions: number
  readonly scheme: string
  readonly id: string
}

export const permission = { read: 1, write: 2, create: 4, delete: 8, admin: 16 } as const

export interface Request<A> {
  readonly type: number
  readonly write: (writer: Writer) => unknown
  readonly read: (reader: Reader) => A
}

const stat = (reader: Reader): Stat => {
  const czxid = reader.count()
  const mzxid = reader.count()
  reader.long()
  reader.long()
  const version = reader.int()
  // The rest is of no use here: versions of children and rights, the owner, sizes.
  return { czxid, mzxid, version }
}

export interface Node {
  readonly data: Buffer
  readonly stat: Stat
}

export const getData = (path: string): Request<Node> => ({
  type: 4,
  write: (writer) => writer.text(path).flag(false),
  // A copy, for what is kept of it shall not keep the whole frame.
  read: (reader) => ({ data: Buffer.from(reader.buffer()), stat: stat(reader) })
})

/** To ZooKeeper, -1 is any version. A node is at it after 2^32 changes; then this one is at none, as before. */
const noVersion = -2

/** If the node is at this version. */
export const setData = (path: string, data: Uint8Array, version: number): Request<Stat> => ({
  type: 5,
  write: (writer) =>
    writer
      .text(path)
      .buffer(data)
      .int(version === -1 ? noVersion : version),
  read: stat
})

/** It is refused in the order of all changes, with the consent of a majority, and nothing is changed. */
export const refusedChange = (path: string): Request<Stat> => setData(path, new Uint8Array(0), noVersion)

/** A node that stays, whatever becomes of the session. */
export const create = (path: string, data: Uint8Array, acls: ReadonlyArray<Acl>): Request<Stat> => ({
  type: 15,
  write: (writer) => {
    writer.text(path).buffer(data).int(acls.length)
    for (const { id, permissions, scheme } of acls) writer.int(permissions).text(scheme).text(id)
    return writer.int(0)
  },
  read: (reader) => {
    reader.text()
    return stat(reader)
  }
})

/** What is read behind it, on this connection, is as new as the leader was. */
export const sync = (path: string): Request<void> => ({
  type: 9,
  write: (writer) => writer.text(path),
  read: () => undefined
})

export const getChildren = (path: string): Request<ReadonlyArray<string>> => ({
  type: 8,
  write: (writer) => writer.text(path).flag(false),
  read: (reader) => reader.list(() => reader.text())
})

export const getAcl = (path: string): Request<ReadonlyArray<Acl>> => ({
  type: 6,
  write: (writer) => writer.text(path),
  // The stat behind it is of no use here.
  read: (reader) => reader.list(() => ({ permissions: reader.int(), scheme: reader.text(), id: reader.text() }))
})

/** Watches a node and all below it, until the connection ends. ZooKeeper 3.6 or newer. */
export const addRecursiveWatch = (path: string): Request<void> => ({
  type: 106,
  write: (writer) => writer.text(path).int(1),
  read: () => undefined
})

export const ping: Request<void> = { type: 11, write: () => undefined, read: () => undefined }

export const closeSession: Request<void> = { type: -11, write: () => undefined, read: () => undefined }

export interface Credentials {
  readonly scheme: string
  readonly value: Uint8Array
}

export const auth = ({ scheme, value }: Credentials): Request<void> => ({
  type: 100,
  write: (writer) => writer.int(0).text(scheme).buffer(value),
  read: () => undefined
})

export const frame = <A>(number: number, request: Request<A>): Buffer => {
  const writer = new Writer().int(number).int(request.type)
  request.write(writer)
  return writer.frame()
}

export interface Session {
  readonly id: bigint
  readonly password: Uint8Array
}

/** No session yet. */
export const noSession: Session = { id: 0n, password: new Uint8Array(16) }

/**
 * Opens a session, or goes on with one. No change is named that was seen before: then no server refuses whoever has seen more than it has, as after a restored backup. What has to be new is read behind a
 * `sync` or a write.
 */
export const hello = (session: Session, timeout: number): Buffer =>
  new Writer().int(0).long(0n).int(timeout).long(session.id).buffer(session.password).flag(false).frame()

export interface Welcome {
  /** 0 or less if there is no such session any more. */
  readonly timeout: number
  readonly session: Session
}

export const welcome = (frame: Buffer): Welcome => {
  const reader = new Reader(frame)
  if (reader.int() !== 0) throw new RangeError("another protocol")
  const timeout = reader.int()
  const id = reader.long()
  return { timeout, session: { id, password: Buffer.from(reader.buffer()) } }
}

export interface Event {
  /** Whether the node was made, or its data changed. */
  readonly changed: boolean
  readonly path: string
  /** -1 of a server older than 3.9. */
  readonly zxid: number
}

export const event = (zxid: number, reader: Reader): Event => {
  const type = reader.int()
  reader.int()
  return { changed: type === 1 || type === 3, path: reader.text(), zxid }
}
