/** How servers are reached over HTTP: their URL, who asks, and by which certificates. */
import * as Redacted from "effect/Redacted"
import { secretText } from "../../common/input.js"
import { InvalidOptions } from "../../LockError.js"
import { type Pems, pems, type Tls } from "../shared/pem.js"
import { hosts as hostsOf } from "../shared/hosts.js"
import * as users from "../shared/user.js"

export interface ResolvedUrl {
  /** `https://host:port/path`, without a slash at its end. */
  readonly nodes: ReadonlyArray<string>
  readonly secure: boolean
  readonly user: users.User | undefined
}

/** The first parameter of a URL that is otherwise right, if it surely is one and no part of a password. */
const parameter = (text: string): string | undefined => {
  const found = /^https?:\/\/(?:[^@/?#]*@)?[^@/?#]+(?:\/[^@?#]*)?\?([A-Za-z][\w.-]*)=[^@]*$/i.exec(text)
  return found?.[1]
}

/** The header of who asks. */
export const basic = ({ name, password }: users.User): string =>
  `Basic ${Buffer.from(`${name}:${Redacted.value(password)}`, "utf8").toString("base64")}`

/** Says nothing of the value but its kind: a URL that is not understood may bear its password anywhere. */
export const url = (value: unknown, defaultPort: number): ResolvedUrl | InvalidOptions => {
  const rule =
    `a Redacted URL such as https://user:password@host1:${defaultPort},host2:${defaultPort}/path, ` +
    "with the characters / ? # @ : % , of user and password percent-encoded"
  const bad = (kind: string) => new InvalidOptions({ field: "url", kind, rule })
  const text = secretText(value)
  if (typeof text !== "string") return bad(text.kind)
  const unknown = parameter(text)
  if (unknown !== undefined) return bad(`a URL with the parameter ${JSON.stringify(unknown)}, and takes none`)
  const parts = /^(https?):\/\/(?:([^@/?#]*)@)?([^@/?#]+)((?:\/[\w.~%!$&'()*+,;=:-]*)*)$/i.exec(text)
  if (parts === null) return bad("not a URL of HTTP")
  const [, scheme, credentials, hosts, path] = parts
  const all = hostsOf(hosts!, defaultPort)
  if (typeof all === "string") return bad(all)
  const nodes = all.map(({ host, port }) => `${scheme!.toLowerCase()}://${host}:${port}${path!.replace(/\/+$/, "")}`)
  const user = credentials === undefined ? undefined : users.ofUrl(credentials)
  if (typeof user === "string") return bad(user)
  return { nodes, secure: /s$/i.test(scheme!), user }
}

export type { Tls, Pems as ResolvedTls } from "../shared/pem.js"

export const tls = (options: unknown): Pems | InvalidOptions => (options === undefined ? {} : pems(options as Tls))
