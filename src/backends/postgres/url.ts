/** A URL of PostgreSQL, and what it may ask for: what we do not honour is refused by name, before any I/O. */
import * as Pg from "pg"
import { secretText } from "../../common/input.js"
import { InvalidOptions } from "../../LockError.js"

export interface ResolvedUrl {
  readonly config: Pg.ClientConfig
}

const urlRule =
  "a Redacted PostgreSQL URL such as postgres://user:password@host:5432/database, " +
  "with the characters / ? # @ : % of user and password percent-encoded"

/** What the driver does with a parameter is what it says. A rule, where only some values are honoured. */
const honoured: Record<string, (value: string, pooler: boolean) => string | undefined> = {
  ...Object.fromEntries(
    [
      "host",
      "port",
      "user",
      "password",
      "db",
      "encoding",
      "application_name",
      "fallback_application_name",
      "options",
      "statement_timeout",
      "lock_timeout",
      "idle_in_transaction_session_timeout",
      "query_timeout",
      "sslcert",
      "sslkey",
      "sslrootcert"
    ].map((name) => [name, () => undefined])
  ),
  sslmode: (value) =>
    ["disable", "prefer", "require", "verify-ca", "verify-full", "no-verify"].includes(value)
      ? undefined
      : "disable, prefer, require, verify-ca, verify-full, or no-verify (prefer, require and verify-ca verify as verify-full does, unless uselibpqcompat=true)",
  ssl: (value) => (["true", "1", "0", "no-verify"].includes(value) ? undefined : "true, 1, 0, or no-verify"),
  uselibpqcompat: (value) => (["true", "false"].includes(value) ? undefined : "true or false"),
  sslnegotiation: (value) => (["postgres", "direct"].includes(value) ? undefined : "postgres or direct"),
  client_encoding: (value) => (/^utf-?8$|^auto$/i.test(value) ? undefined : "UTF8: the driver speaks no other"),
  connect_timeout: (value) => (/^\d{1,6}$/.test(value) ? undefined : "a number of seconds"),
  keepalives: (value) => (value === "1" ? undefined : "1: connections are always kept alive"),
  channel_binding: (value) =>
    value === "prefer" || value === "disable"
      ? undefined
      : "prefer or disable: the driver binds where the server offers it, and cannot insist on it",
  gssencmode: (value) =>
    value === "disable" || value === "prefer" ? undefined : "disable or prefer: the driver has no GSS encryption",
  target_session_attrs: (value) =>
    value === "any"
      ? undefined
      : "any, or left out: give a host that leads to the primary, or an Effect as `url` that finds it (a server that turns read-only is left for a new connection)",
  load_balance_hosts: (value) => (value === "disable" ? undefined : "left out: there is one host"),
  pgbouncer: (value, pooler) =>
    value === "false" || pooler ? undefined : "left out: set the option `pooler: true` instead"
}

/** Says nothing of the value but its kind: a URL that is not understood may bear its password anywhere. */
export const url = (field: string, value: unknown, pooler = false): ResolvedUrl | InvalidOptions => {
  const bad = (kind: string, rule = urlRule) => new InvalidOptions({ field, kind, rule })
  const text = secretText(value)
  if (typeof text !== "string") return bad(text.kind)
  if (!/^(postgres|postgresql|socket):|^\//i.test(text)) return bad("not a URL of PostgreSQL")
  if (text.includes("#")) return bad("a URL with a raw #")
  if (/^[a-z]+:\/\/([^/?@]*@)?[^/?@]*,/i.test(text) || /[?&]host=[^&]*(,|%2c)/i.test(text)) {
    return bad(
      "a URL with several hosts",
      `${urlRule}, of one host: the driver connects to one. Give a name that leads to the primary, or an Effect that finds it`
    )
  }
  // A password with a raw slash or question mark moves the rest of it, and the @, into what follows the host.
  const raw = "a URL with a raw / or ? or @ in its user or password"
  if (/\?[^@=&]*@/.test(text)) return bad(raw)
  let parameters: URLSearchParams
  try {
    parameters = text.startsWith("/")
      ? new URLSearchParams()
      : new URL(text.replace("@/", "@localhost/").replace(/:\/\/\//, "://localhost/")).searchParams
  } catch {
    return bad("a URL that cannot be read")
  }
  for (const [name, given] of parameters) {
    // The name may be a part of a password that was not encoded; so it is told only if it looks like one of a setting.
    if (!Object.hasOwn(honoured, name)) {
      return /^[a-z][a-z_]{1,40}$/.test(name)
        ? bad(
            `a URL with the parameter ${name}`,
            `without parameters that the driver does not know: it passes over ${name}, so nothing would come of it`
          )
        : bad("a URL with a parameter that is none of PostgreSQL")
    }
    const rule = honoured[name]!(given, pooler)
    if (rule !== undefined) return bad(`a URL with another \`${name}\``, `one whose parameter \`${name}\` is ${rule}`)
  }
  const seconds = Number(parameters.get("connect_timeout") ?? 0)
  const config: Pg.ClientConfig = {
    connectionString: text,
    fallback_application_name: "effect-storage-lock",
    ...(parameters.get("channel_binding") === "prefer" ? { enableChannelBinding: true } : {}),
    ...(seconds > 0 ? { connectionTimeoutMillis: seconds * 1000 } : {})
  }
  try {
    // Reads the URL as the driver will, and opens nothing.
    const client = new Pg.Client(config)
    if ([client.host, client.database, String(client.port)].some((part) => part?.includes("@"))) return bad(raw)
    if (client.host?.includes(",") === true)
      return bad("without a host, and PGHOST has several", `${urlRule}, of one host: the driver connects to one`)
    return { config }
  } catch (error) {
    const path = (error as { readonly path?: unknown } | null)?.path
    return typeof path === "string"
      ? bad(
          "a URL that names a file which cannot be read",
          "one whose sslrootcert, sslcert and sslkey are files that can be read (the driver knows no `system`)"
        )
      : bad("a URL that cannot be read")
  }
}

/** Variables that a program of libpq would obey, and this driver does not know: where they are set, somebody relies on them. */
export const unheard = (env: NodeJS.ProcessEnv = process.env): ReadonlyArray<string> =>
  [
    "PGSERVICE",
    "PGHOSTADDR",
    "PGSSLROOTCERT",
    "PGSSLCERT",
    "PGSSLKEY",
    "PGREQUIRESSL",
    "PGCHANNELBINDING",
    "PGREQUIREAUTH",
    "PGTARGETSESSIONATTRS",
    "PGGSSENCMODE"
  ].filter((name) => {
    const value = env[name]
    return (
      value !== undefined &&
      value !== "" &&
      !(name === "PGTARGETSESSIONATTRS" && value === "any") &&
      !/^(disable|prefer)$/.test(value)
    )
  })
