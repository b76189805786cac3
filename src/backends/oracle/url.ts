/** A URL of an Oracle database, and what it may ask for: what is not honoured is refused by name, before any I/O. */
import { secretText } from "../../common/input.js"
import { InvalidOptions } from "../../LockError.js"

export type Attributes = Readonly<Record<string, unknown>>

const urlRule =
  "a Redacted URL such as oracle://user:password@host:1521/service, or oracles:// for TLS, " +
  "with the characters / ? # @ : % of user and password percent-encoded"

/** Takes a value over, or says what it has to be. */
type Parameter = (value: string, into: Record<string, unknown>) => string | undefined

const text =
  (name: string): Parameter =>
  (value, into) => {
    if (value === "") return "a text"
    into[name] = value
  }

const seconds: Parameter = (value, into) => {
  if (!/^[1-9]\d{0,4}$/.test(value)) return "a number of seconds, from 1"
  into.connectTimeout = Number(value)
}

const flag: Parameter = (value, into) => {
  if (value !== "true" && value !== "false") return "true or false"
  into.sslServerDNMatch = value === "true"
}

/** By the names that the driver has for them. */
const parameters: Readonly<Record<string, Parameter>> = {
  connectTimeout: seconds,
  sslServerDNMatch: flag,
  sslServerCertDN: text("sslServerCertDN"),
  walletLocation: text("walletLocation")
}

/** Says nothing of the value but its kind: a URL that is not understood may bear its password anywhere. */
export const parse = (field: string, value: unknown): Attributes | InvalidOptions => {
  const bad = (kind: string, rule = urlRule) => new InvalidOptions({ field, kind, rule })
  const address = secretText(value)
  if (typeof address !== "string") return bad(address.kind)
  const scheme = /^(oracles?):\/\//i.exec(address)?.[1]?.toLowerCase()
  if (scheme === undefined) return bad("not a URL of Oracle")
  if (address.includes("#")) return bad("a URL with a raw #")
  try {
    const parsed = new URL(address)
    // A password with a raw slash, question mark or at moves the rest of it into what follows.
    if (parsed.pathname.includes("@") || parsed.search.includes("@"))
      return bad("a URL with a raw / or ? or @ in its user or password")
    if (parsed.hostname === "") return bad("a URL without a host")
    const service = decodeURIComponent(parsed.pathname.slice(1))
    if (service === "") return bad("a URL without a service name")
    // What would be more than a name to the listener: an instance, a kind of server, or a part of a connect descriptor.
    if (!/^[A-Za-z0-9_.$#-]{1,250}$/.test(service))
      return bad(
        "a URL with another service name",
        "one whose path is the name of a service, of letters, digits and _ . $ # -"
      )
    const found: Record<string, unknown> = {}
    const seen = new Set<string>()
    for (const [name, given] of parsed.searchParams) {
      const parameter = Object.hasOwn(parameters, name) ? parameters[name] : undefined
      // The name may be a part of a password that was not encoded; so it is told only if it looks like one of a setting.
      if (parameter === undefined) {
        return /^[a-z][a-z_]{1,40}$/i.test(name)
          ? bad(
              `a URL with the parameter ${name}`,
              `without parameters that are not honoured (${Object.keys(parameters).join(", ")} are): nothing would come of ${name}`
            )
          : bad("a URL with an unknown parameter")
      }
      if (seen.has(name)) return bad(`a URL with \`${name}\` twice`, "one that says each parameter once")
      seen.add(name)
      const rule = parameter(given, found)
      if (rule !== undefined) return bad(`a URL with another \`${name}\``, `one whose parameter \`${name}\` is ${rule}`)
    }
    const port = parsed.port === "" ? (scheme === "oracles" ? 2484 : 1521) : Number(parsed.port)
    const host = parsed.hostname.replace(/^\[(.*)\]$/, "$1")
    return {
      ...found,
      user: decodeURIComponent(parsed.username),
      password: decodeURIComponent(parsed.password),
      // Written out: the short form of a connect string takes no name of one letter.
      connectString: `(DESCRIPTION=(ADDRESS=(PROTOCOL=${scheme === "oracles" ? "tcps" : "tcp"})(HOST=${host})(PORT=${port}))(CONNECT_DATA=(SERVICE_NAME=${service})))`
    }
  } catch {
    return bad("a URL that cannot be read")
  }
}
