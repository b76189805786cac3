/** A URL of the MySQL family, and what it may ask for: what we do not honour is refused by name, before any I/O. */
import type * as Mysql from "mysql2"
import { secretText } from "../../common/input.js"
import { InvalidOptions } from "../../LockError.js"
import * as tls from "./tls.js"

/** What a connection is made of. */
export interface Target {
  readonly config: Mysql.ConnectionOptions
  readonly ssl: tls.Ssl
  /** Milliseconds that the URL gives a connection. */
  readonly patience: number | undefined
}

const urlRule =
  "a Redacted URL such as mysql://user:password@host:3306/database, " +
  "with the characters / ? # @ : % of user and password percent-encoded"

interface Parameter {
  /** What it must be, if it is something else. */
  readonly rule: (value: string) => string | undefined
  /** What the driver is told. Nothing, of what concerns values that there are none of in this storage. */
  readonly config?: (value: string) => Mysql.ConnectionOptions
}

const truth = (value: string) => (value === "true" || value === "false" ? undefined : "true or false")
const always = (what: string) => (value: string) => (value === "true" ? undefined : `true: ${what}`)
/** How the program reads values: it makes no difference here. */
const ofValues: Parameter = { rule: () => undefined }

const json = (value: string): unknown => {
  try {
    return JSON.parse(value)
  } catch {
    return undefined
  }
}

const parameters: Record<string, Parameter | undefined> = {
  charset: {
    rule: (value) =>
      /^utf8mb4(_[a-z0-9_]{1,40})?$|^utf-?8$/i.test(value)
        ? undefined
        : "UTF8MB4, or one of its collations: ids are stored as bytes of UTF-8",
    config: () => ({ charset: "UTF8MB4" })
  },
  socketPath: {
    rule: (value) => (value === "" ? "the path of the server's socket" : undefined),
    config: (socketPath) => ({ socketPath })
  },
  compress: {
    rule: (value) =>
      value === "false" ? undefined : "false: the driver complains of each packet that comes compressed"
  },
  connectTimeout: { rule: (value) => (/^[1-9]\d{0,7}$/.test(value) ? undefined : "a number of milliseconds") },
  connectAttributes: {
    rule: (value) => (typeof json(value) === "object" && json(value) !== null ? undefined : "an object in JSON"),
    config: (value) => ({ connectAttributes: json(value) as object })
  },
  enableCleartextPlugin: { rule: truth, config: (value) => ({ enableCleartextPlugin: value === "true" }) },
  multipleStatements: { rule: always("an operation is several statements in one packet") },
  enableKeepAlive: { rule: always("connections are always kept alive") },
  waitForConnections: { rule: always("an operation waits for a connection as long as it may take") },
  keepAliveInitialDelay: { rule: (value) => (/^\d{1,8}$/.test(value) ? undefined : "a number of milliseconds") },
  timezone: ofValues,
  dateStrings: ofValues,
  decimalNumbers: ofValues,
  supportBigNumbers: ofValues,
  bigNumberStrings: ofValues,
  stringifyObjects: ofValues,
  jsonStrings: ofValues
}

/** Where to say what these would say. */
const instead: Record<string, string | undefined> = {
  socket: "write `socketPath`",
  unix_socket: "write `socketPath`",
  connectionLimit: "set the option `poolSize`",
  connection_limit: "set the option `poolSize`",
  maxIdle: "set the option `poolSize`",
  connect_timeout: "write `connectTimeout`, in milliseconds",
  host: "a host stands before the path",
  port: "a port stands behind the host",
  user: "a user stands before the host",
  password: "a password stands before the host",
  database: "a database is the path",
  flags: "the flags of a connection are those of the driver"
}

/** Says nothing of the value but its kind: a URL that is not understood may bear its password anywhere. */
export const url = (field: string, value: unknown): Target | InvalidOptions => {
  const bad = (kind: string, rule = urlRule) => new InvalidOptions({ field, kind, rule })
  const text = secretText(value)
  if (typeof text !== "string") return bad(text.kind)
  if (!/^(mysql|mariadb|tidb):\/\//i.test(text)) return bad("not a URL of MySQL")
  if (text.includes("#")) return bad("a URL with a raw #")
  const authority = /\/\/([^/?]*)/.exec(text)?.[1] ?? ""
  if (/,/.test(authority.slice(authority.lastIndexOf("@") + 1)) || /\/\/(address|\()/i.test(text)) {
    return bad(
      "a URL with several hosts",
      `${urlRule}, of one host: the driver connects to one. Give a name that leads to the primary, or an Effect that finds it`
    )
  }
  let parsed: URL
  let part: { readonly user: string; readonly password: string; readonly database: string; readonly host: string }
  try {
    parsed = new URL(text)
    part = {
      user: decodeURIComponent(parsed.username),
      password: decodeURIComponent(parsed.password),
      database: decodeURIComponent(parsed.pathname.slice(1)),
      host: decodeURIComponent(parsed.hostname.replace(/^\[|\]$/g, ""))
    }
  } catch {
    return bad("a URL that cannot be read")
  }
  // A password with a raw slash, question mark or at sign moves the rest of it, and the @, to another part.
  if (parsed.pathname.includes("@") || parsed.search.includes("@") || authority.split("@").length > 2) {
    return bad("a URL with a raw / or ? or @ in its user or password")
  }
  if (part.host === "") return bad("a URL without a host")
  if (part.database.includes("/")) return bad("a URL with more than a database behind its host")

  let config: Mysql.ConnectionOptions = {
    host: part.host,
    port: parsed.port === "" ? 3306 : Number(parsed.port),
    user: part.user,
    ...(part.password === "" ? {} : { password: part.password }),
    ...(part.database === "" ? {} : { database: part.database })
  }
  const ofTls: Array<readonly [string, string]> = []
  const seen = new Set<string>()
  for (const [name, given] of parsed.searchParams) {
    // The name may be a part of a password that was not encoded; so it is told only if it looks like one of a setting.
    const named = /^[a-z][a-z_-]{1,40}$/i.test(name)
    if (seen.has(name))
      return bad(
        named ? `a URL with the parameter ${name} twice` : "a URL with a parameter twice",
        "one that says each thing once"
      )
    seen.add(name)
    if (named && tls.concerns(name)) {
      ofTls.push([name, given])
      continue
    }
    const parameter = Object.hasOwn(parameters, name) ? parameters[name] : undefined
    if (parameter === undefined) {
      const rule = Object.hasOwn(instead, name)
        ? `without it: ${instead[name]}`
        : "without parameters that the driver does not know: nothing would come of it"
      return named
        ? bad(`a URL with the parameter ${name}`, `one ${rule}`)
        : bad("a URL with a parameter that is none of MySQL")
    }
    const rule = parameter.rule(given)
    if (rule !== undefined) return bad(`a URL with another \`${name}\``, `one whose parameter \`${name}\` is ${rule}`)
    config = { ...config, ...parameter.config?.(given) }
  }
  const ssl = tls.ofUrl(ofTls)
  if (ssl instanceof tls.Fault) return bad(ssl.kind, ssl.rule)
  if (
    (config as { readonly enableCleartextPlugin?: boolean }).enableCleartextPlugin === true &&
    ssl === undefined &&
    config.socketPath === undefined
  ) {
    return bad(
      "a URL with enableCleartextPlugin and without TLS",
      "one that asks for TLS beside it, or the password would travel in the clear"
    )
  }
  const patience = parsed.searchParams.get("connectTimeout")
  return { config, ssl, patience: patience === null ? undefined : Number(patience) }
}
