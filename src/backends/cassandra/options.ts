/** The options of Cassandra's layers: their types, their checks and their defaults. */
import { faulty, flagFault, invalid, secretText } from "../../common/input.js"
import { unknownName } from "../../common/optionNames.js"
import { InvalidOptions } from "../../LockError.js"
import { operation, operationNames, type OperationOptions, type ResolvedOperation } from "../shared/options.js"
import { type Pems, pems, type Tls as Certificates } from "../shared/pem.js"
import { hosts as hostsOf } from "../shared/hosts.js"
import * as users from "../shared/user.js"

export type Serial = "SERIAL" | "LOCAL_SERIAL"

export interface Common extends OperationOptions {
  readonly table?: string | undefined
  readonly setup?: boolean | undefined
  readonly serialConsistency?: Serial | undefined
}

export interface ResolvedCommon extends ResolvedOperation {
  readonly table: string
  readonly setup: boolean
  /** Locks of one data centre alone. */
  readonly local: boolean
}

export const defaultTable = "storage_lock"

/** Quoted, so that it is taken as it is written. */
const name = /^\w{1,48}$/

export const nameFault = (field: "keyspace" | "table", value: unknown): InvalidOptions | undefined =>
  typeof value === "string" && name.test(value)
    ? undefined
    : invalid(
        field,
        value,
        "1 to 48 of the characters a-z A-Z 0-9 _, as the schema has it: upper and lower case differ"
      )

/** What both ways have in common. `own`: the names of what this one has besides. */
export const common = <Options extends Common>(
  options: Options,
  own: Readonly<Record<Exclude<keyof Options, keyof Common>, true>>
): ResolvedCommon | InvalidOptions => {
  const unknown = unknownName(options, {
    table: true,
    setup: true,
    serialConsistency: true,
    ...operationNames,
    ...own
  })
  if (unknown !== undefined) return unknown
  const table: unknown = options.table ?? defaultTable
  const serial: unknown = options.serialConsistency ?? "SERIAL"
  const fault =
    nameFault("table", table) ??
    flagFault("setup", options.setup) ??
    (serial === "SERIAL" || serial === "LOCAL_SERIAL"
      ? undefined
      : invalid("serialConsistency", serial, '"SERIAL" or "LOCAL_SERIAL"'))
  if (fault !== undefined) return fault
  const each = operation(options)
  return each instanceof InvalidOptions
    ? each
    : { ...each, table: table as string, setup: options.setup ?? true, local: serial === "LOCAL_SERIAL" }
}

/** Locks of one data centre are those of all who name the same one. */
export const dataCenterFault = (value: unknown, local: boolean): InvalidOptions | undefined =>
  faulty(
    "localDataCenter",
    value === undefined
      ? local
        ? "left out"
        : undefined
      : typeof value !== "string"
        ? `of type ${value === null ? "null" : typeof value}`
        : value === ""
          ? "empty"
          : undefined,
    local
      ? 'the name of a data centre, which "LOCAL_SERIAL" needs: the same in all processes'
      : "the name of a data centre"
  )

export type User = users.User

export interface ResolvedUrl {
  /** `host:port`, an address of IPv6 in brackets. */
  readonly contactPoints: ReadonlyArray<string>
  readonly port: number
  readonly keyspace: string
  readonly tls: boolean
  readonly user: User | undefined
}

const urlRule =
  "a Redacted URL such as cassandra://user:password@host1:9042,host2:9042/keyspace (cassandras:// for TLS), " +
  "with the characters / ? # @ : % , of user and password percent-encoded"

const defaultPort = 9042

/** The first parameter of a URL that is otherwise right, if it surely is one and no part of a password. */
const parameter = (text: string): string | undefined =>
  /^cassandras?:\/\/(?:[^@/?#]*@)?[^@/?#]+(?:\/\w*)?\?([A-Za-z][\w.-]*)=[^@]*$/i.exec(text)?.[1]

/** Says nothing of the value but its kind: a URL that is not understood may bear its password anywhere. */
export const url = (value: unknown): ResolvedUrl | InvalidOptions => {
  const bad = (kind: string) => new InvalidOptions({ field: "url", kind, rule: urlRule })
  const text = secretText(value)
  if (typeof text !== "string") return bad(text.kind)
  const unknown = parameter(text)
  if (unknown !== undefined)
    return bad(
      `a URL with the parameter ${JSON.stringify(unknown)}, and takes none (TLS is cassandras://, the rest are options of their own)`
    )
  const parts = /^(cassandras?):\/\/(?:([^@/?#]*)@)?([^@/?#]+)(?:\/([^/?#@]*))?$/i.exec(text)
  if (parts === null) return bad("not a URL of Cassandra")
  const [, scheme, credentials, hosts, keyspace = ""] = parts
  if (keyspace === "") return bad("a URL without a keyspace")
  if (!name.test(keyspace)) return bad("a URL whose keyspace is no name of 1 to 48 of the characters a-z A-Z 0-9 _")
  const all = hostsOf(hosts!, defaultPort)
  if (typeof all === "string") return bad(all)
  const { port } = all[0]!
  // The driver looks for all nodes at one port.
  if (all.some((other) => other.port !== port)) return bad("a URL with several ports: the nodes of a cluster have one")
  const user = credentials === undefined ? undefined : users.ofUrl(credentials)
  if (typeof user === "string") return bad(user)
  return { contactPoints: all.map(({ host }) => `${host}:${port}`), port, keyspace, tls: /s$/i.test(scheme!), user }
}

export const user = users.option

export interface Tls extends Certificates {
  readonly servername?: string | undefined
}

export interface ResolvedTls extends Pems {
  readonly servername?: string
}

export const tls = (value: Tls): ResolvedTls | InvalidOptions => {
  const unknown = unknownName<Tls>(value, { ca: true, cert: true, key: true, servername: true }, "tls")
  if (unknown !== undefined) return unknown
  const { servername, ...certificates } = value
  const given: unknown = servername
  if (given !== undefined && (typeof given !== "string" || given === ""))
    return invalid("tls.servername", given, "the name that stands in the certificates of all nodes")
  const found = pems(certificates)
  return found instanceof InvalidOptions || servername === undefined ? found : { ...found, servername }
}
