/** The options of etcd's layers: their types, their checks and their defaults. */
import * as Redacted from "effect/Redacted"
import { InvalidOptions } from "../../LockError.js"
import { pems, type Tls } from "../shared/pem.js"
import { invalid, textFault, secretText } from "../../common/input.js"
import { unknownName } from "../../common/optionNames.js"
import { operation, operationNames, type OperationOptions, type ResolvedOperation } from "../shared/options.js"
import { hosts as hostsOf } from "../shared/hosts.js"
import * as users from "../shared/user.js"

export interface Common extends OperationOptions {
  readonly prefix?: string | undefined
}

export interface ResolvedCommon extends ResolvedOperation {
  readonly prefix: string
}

/** What both ways have in common. `own`: the names of what this one has besides. */
export const common = <Options extends Common>(
  options: Options,
  own: Readonly<Record<Exclude<keyof Options, keyof Common>, true>>
): ResolvedCommon | InvalidOptions => {
  const unknown = unknownName(options, { prefix: true, ...operationNames, ...own })
  if (unknown !== undefined) return unknown
  const prefix: unknown = options.prefix ?? "effect-storage-lock/"
  if (textFault(prefix) !== undefined || (prefix as string).length > 255) {
    return invalid("prefix", prefix, "1 to 255 UTF-16 units, without NUL and lone surrogates")
  }
  const each = operation(options)
  return each instanceof InvalidOptions ? each : { ...each, prefix: prefix as string }
}

export type User = users.User

export interface ResolvedUrl {
  /** `host:port`, an address of IPv6 in brackets. */
  readonly endpoints: ReadonlyArray<string>
  readonly tls: boolean
  readonly user: User | undefined
}

const urlRule =
  "a Redacted URL such as etcd://user:password@host1:2379,host2:2379 (etcds:// for TLS), " +
  "with the characters / ? # @ : % , of user and password percent-encoded"

/** The first parameter of a URL that is otherwise right, if it surely is one and no part of a password. */
const parameter = (text: string): string | undefined => {
  const found = /^(?:etcds?|https?):\/\/(?:[^@/?#]*@)?[^@/?#]+\/?\?([A-Za-z][\w.-]*)=[^@]*$/i.exec(text)
  return found?.[1]
}

/** Says nothing of the value but its kind: a URL that is not understood may bear its password anywhere. */
export const url = (value: unknown): ResolvedUrl | InvalidOptions => {
  const bad = (kind: string) => new InvalidOptions({ field: "url", kind, rule: urlRule })
  const text = secretText(value)
  if (typeof text !== "string") return bad(text.kind)
  const unknown = parameter(text)
  if (unknown !== undefined)
    return bad(
      `a URL with the parameter ${JSON.stringify(unknown)}, and takes none (TLS is etcds://, certificates are the option \`tls\`)`
    )
  const parts = /^(etcds?|https?):\/\/(?:([^@/?#]*)@)?([^@/?#]+)\/?$/i.exec(text)
  if (parts === null) return bad("not a URL of etcd")
  const [, scheme, credentials, hosts] = parts
  const all = hostsOf(hosts!, 2379)
  if (typeof all === "string") return bad(all)
  const endpoints = all.map(({ host, port }) => `${host}:${port}`)
  const user = credentials === undefined ? undefined : users.ofUrl(credentials)
  if (typeof user === "string") return bad(user)
  return { endpoints, tls: /s$/i.test(scheme!), user }
}

/** One that is asked for has to be somebody. */
export const someUser = (value: unknown): User | InvalidOptions => {
  const unknown =
    typeof value === "object" && value !== null
      ? unknownName<User>(value, { name: true, password: true }, "user")
      : undefined
  if (unknown !== undefined) return unknown
  const { name, password } = (typeof value === "object" && value !== null ? value : {}) as {
    readonly name?: unknown
    readonly password?: unknown
  }
  return typeof name === "string" &&
    name !== "" &&
    Redacted.isRedacted(password) &&
    typeof Redacted.value(password) === "string"
    ? { name, password: password as Redacted.Redacted }
    : new InvalidOptions({ field: "user", kind: "something else", rule: "{ name, password }, the password Redacted" })
}

export const user = (value: unknown): User | undefined | InvalidOptions =>
  value === undefined ? undefined : someUser(value)

export type { Tls } from "../shared/pem.js"

export interface ResolvedTls {
  readonly ca: Buffer | null
  readonly cert: Buffer | null
  readonly key: Buffer | null
}

export const noTls: ResolvedTls = { ca: null, cert: null, key: null }

export const tls = (options: Tls): ResolvedTls | InvalidOptions => {
  if (typeof options !== "object" || options === null) return invalid("tls", options, "{ ca, cert, key }, each in PEM")
  const found = pems(options)
  return found instanceof InvalidOptions ? found : { ...noTls, ...found }
}
