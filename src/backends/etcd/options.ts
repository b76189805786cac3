import * as Redacted from "effect/Redacted"
import { InvalidOptions } from "../../LockError.js"
import { invalid, textFault } from "../../common/input.js"
import { unknownName } from "../../common/optionNames.js"
import { operation, operationNames, type OperationOptions, type ResolvedOperation } from "../shared/options.js"

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

export interface User {
  readonly name: string
  readonly password: Redacted.Redacted
}

export interface ResolvedUrl {
  /** `host:port`, an address of IPv6 in brackets. */
  readonly endpoints: ReadonlyArray<string>
  readonly tls: boolean
  readonly user: User | undefined
}

const urlRule =
  "a Redacted URL such as etcd://user:password@host1:2379,host2:2379 (etcds:// for TLS), " +
  "with the characters / ? # @ : % , of user and password percent-encoded"

const host = /^(\[[0-9A-Fa-f:.%]+\]|[A-Za-z0-9._-]+)(?::(\d{1,5}))?$/

/** The first parameter of a URL that is otherwise right, if it surely is one and no part of a password. */
const parameter = (text: string): string | undefined => {
  const found = /^(?:etcds?|https?):\/\/(?:[^@/?#]*@)?[^@/?#]+\/?\?([A-Za-z][\w.-]*)=[^@]*$/i.exec(text)
  return found?.[1]
}

/** Says nothing of the value but its kind: a URL that is not understood may bear its password anywhere. */
export const url = (value: unknown): ResolvedUrl | InvalidOptions => {
  const bad = (kind: string) => new InvalidOptions({ field: "url", kind, rule: urlRule })
  if (!Redacted.isRedacted(value)) return bad(`of type ${value === null ? "null" : typeof value}, not Redacted`)
  const text: unknown = Redacted.value(value)
  if (typeof text !== "string") return bad(`a Redacted of type ${text === null ? "null" : typeof text}`)
  if (text === "") return bad("empty")
  const unknown = parameter(text)
  if (unknown !== undefined)
    return bad(
      `a URL with the parameter ${JSON.stringify(unknown)}, and takes none (TLS is etcds://, certificates are the option \`tls\`)`
    )
  const parts = /^(etcds?|https?):\/\/(?:([^@/?#]*)@)?([^@/?#]+)\/?$/i.exec(text)
  if (parts === null) return bad("not a URL of etcd")
  const [, scheme, credentials, hosts] = parts
  const endpoints: Array<string> = []
  for (const each of hosts!.split(",")) {
    const found = host.exec(each)
    const port = Number(found?.[2] ?? 2379)
    if (found === null || port < 1 || port > 65_535) return bad("a URL with a host or port that cannot be read")
    endpoints.push(`${found[1]}:${port}`)
  }
  let user: User | undefined
  if (credentials !== undefined) {
    const colon = credentials.indexOf(":")
    if (colon < 1) return bad("a URL with a user, but no password")
    try {
      user = {
        name: decodeURIComponent(credentials.slice(0, colon)),
        password: Redacted.make(decodeURIComponent(credentials.slice(colon + 1)))
      }
    } catch {
      return bad("a URL whose user or password is not percent-encoded rightly")
    }
  }
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

export interface Tls {
  readonly ca?: string | Uint8Array | undefined
  readonly cert?: string | Uint8Array | undefined
  readonly key?: Redacted.Redacted<string | Uint8Array> | undefined
}

export interface ResolvedTls {
  readonly ca: Buffer | null
  readonly cert: Buffer | null
  readonly key: Buffer | null
}

const bytes = (value: unknown): Buffer | undefined =>
  typeof value === "string" && value !== ""
    ? Buffer.from(value, "utf8")
    : value instanceof Uint8Array && value.length > 0
      ? Buffer.from(value)
      : undefined

export const noTls: ResolvedTls = { ca: null, cert: null, key: null }

export const tls = (options: Tls): ResolvedTls | InvalidOptions => {
  if (typeof options !== "object" || options === null) return invalid("tls", options, "{ ca, cert, key }, each in PEM")
  const unknown = unknownName<Tls>(options, { ca: true, cert: true, key: true }, "tls")
  if (unknown !== undefined) return unknown
  const pem = (field: "ca" | "cert" | "key", value: unknown): Buffer | null | InvalidOptions =>
    value === undefined
      ? null
      : (bytes(value) ??
        new InvalidOptions({
          field: `tls.${field}`,
          kind: "something else",
          rule: "a text or bytes in PEM, the key Redacted"
        }))
  const ca = pem("ca", options.ca)
  const cert = pem("cert", options.cert)
  const key = pem(
    "key",
    options.key === undefined ? undefined : Redacted.isRedacted(options.key) ? Redacted.value(options.key) : null
  )
  for (const each of [ca, cert, key]) if (each instanceof InvalidOptions) return each
  if ((cert === null) !== (key === null))
    return invalid("tls", cert === null ? "key without cert" : "cert without key", "both cert and key, or neither")
  return { ca, cert, key } as ResolvedTls
}
