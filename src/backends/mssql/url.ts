/** A URL of SQL Server, and what it may ask for: what we do not honour is refused by name, before any I/O. */
import type * as Tedious from "tedious"
import { secretText } from "../../common/input.js"
import { InvalidOptions } from "../../LockError.js"

const urlRule =
  "a Redacted URL such as mssql://user:password@host:1433/database?encrypt=true&trustServerCertificate=false, " +
  "with the characters / ? # @ : % of user and password percent-encoded"

const encryptions = new Map<string, boolean | "strict">([
  ["true", true],
  ["false", false],
  ["strict", "strict"]
])
const flags = new Map([
  ["true", true],
  ["false", false]
])

type Settings = {
  -readonly [K in keyof NonNullable<Tedious.ConnectionConfiguration["options"]>]: NonNullable<
    Tedious.ConnectionConfiguration["options"]
  >[K]
}

/** Takes a value over, or says what it has to be. */
type Parameter = (value: string, into: Settings) => string | undefined

const flag =
  (name: "trustServerCertificate" | "multiSubnetFailover"): Parameter =>
  (value, into) => {
    const found = flags.get(value.toLowerCase())
    if (found === undefined) return "true or false"
    into[name] = found
  }

const text =
  (name: "appName" | "instanceName" | "serverName"): Parameter =>
  (value, into) => {
    if (value === "") return "a text"
    into[name] = value
  }

const seconds: Parameter = (value, into) => {
  if (!/^[1-9]\d{0,4}$/.test(value)) return "a number of seconds, from 1"
  into.connectTimeout = Number(value) * 1000
}

/** By the names that the drivers of SQL Server have for them, in lower case: they are alike in any. */
const parameters: Record<string, Parameter> = {
  encrypt: (value, into) => {
    const found = encryptions.get(value.toLowerCase())
    if (found === undefined) return "true, false, or strict"
    into.encrypt = found
  },
  trustservercertificate: flag("trustServerCertificate"),
  multisubnetfailover: flag("multiSubnetFailover"),
  appname: text("appName"),
  applicationname: text("appName"),
  "application name": text("appName"),
  instancename: text("instanceName"),
  hostnameincertificate: text("serverName"),
  logintimeout: seconds,
  "connect timeout": seconds,
  "connection timeout": seconds,
  connecttimeout: () =>
    "left out: one driver's is in seconds and another's in milliseconds. Say `loginTimeout`, in seconds",
  applicationintent: (value) =>
    value.toLowerCase() === "readwrite" ? undefined : "ReadWrite, or left out: a readable secondary cannot grant locks",
  database: () => "left out: the database stands in the path of the URL",
  failoverpartner: () => "left out: the driver knows no mirror. Give an Effect as `url` that finds the principal",
  authentication: () => "left out: give `accessToken`, or `connection` with an `authentication` of the driver's"
}

const database = (path: string): string => decodeURIComponent(path.slice(1))

/** Says nothing of the value but its kind: a URL that is not understood may bear its password anywhere. */
export const parse = (field: string, value: unknown): Tedious.ConnectionConfiguration | InvalidOptions => {
  const bad = (kind: string, rule = urlRule) => new InvalidOptions({ field, kind, rule })
  const address = secretText(value)
  if (typeof address !== "string") return bad(address.kind)
  if (!/^(mssql|sqlserver):\/\//i.test(address)) return bad("not a URL of SQL Server")
  if (address.includes("#")) return bad("a URL with a raw #")
  try {
    const parsed = new URL(address)
    // A password with a raw slash, question mark or at moves the rest of it into what follows.
    if (parsed.pathname.includes("@") || parsed.search.includes("@") || parsed.pathname.indexOf("/", 1) > 0)
      return bad("a URL with a raw / or ? or @ in its user or password")
    if (parsed.hostname === "") return bad("a URL without a host")
    // As in a connection string; the driver would take all of it, passwords too, for a name.
    if (/[;=,]/.test(parsed.hostname) || parsed.pathname.includes(";"))
      return bad("a URL with settings behind semicolons", `${urlRule}, and settings behind ? and &`)
    const options: Settings = {
      encrypt: true,
      trustServerCertificate: false,
      multiSubnetFailover: false,
      appName: "effect-storage-lock"
    }
    const seen = new Set<Parameter>()
    for (const [name, given] of parsed.searchParams) {
      const parameter = Object.hasOwn(parameters, name.toLowerCase()) ? parameters[name.toLowerCase()] : undefined
      // The name may be a part of a password that was not encoded; so it is told only if it looks like one of a setting.
      if (parameter === undefined) {
        return /^[a-z][a-z_ ]{1,40}$/i.test(name)
          ? bad(
              `a URL with the parameter ${name}`,
              `without parameters that are not honoured: nothing would come of ${name}`
            )
          : bad("a URL with an unknown parameter")
      }
      if (seen.has(parameter)) return bad(`a URL with \`${name}\` twice`, "one that says each parameter once")
      seen.add(parameter)
      const rule = parameter(given, options)
      if (rule !== undefined) return bad(`a URL with another \`${name}\``, `one whose parameter \`${name}\` is ${rule}`)
    }
    if (options.instanceName !== undefined && parsed.port !== "")
      return bad("a URL with both a port and an instanceName")
    const name = database(parsed.pathname)
    return {
      server: decodeURIComponent(parsed.hostname).replace(/^\[(.*)\]$/, "$1"),
      authentication: {
        type: "default",
        options: { userName: decodeURIComponent(parsed.username), password: decodeURIComponent(parsed.password) }
      },
      options: {
        ...options,
        ...(name === "" ? {} : { database: name }),
        ...(options.instanceName === undefined ? { port: parsed.port === "" ? 1433 : Number(parsed.port) } : {})
      }
    }
  } catch {
    return bad("a URL that cannot be read")
  }
}
