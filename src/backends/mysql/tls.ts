/** What a URL, or the option `tls`, says of TLS: honoured as it is written, or refused. Never less than it asks for. */
import type * as Mysql from "mysql2"
import * as Fs from "node:fs"
import { faulty } from "../../common/input.js"
import { type Names, unknownName } from "../../common/optionNames.js"
import type { InvalidOptions } from "../../LockError.js"

/**
 * Certificates and keys in PEM, and what is verified. What is left out is verified.
 *
 * @inline
 */
export interface TlsOptions {
  readonly ca?: string | Buffer | Array<string> | Array<Buffer> | undefined
  readonly cert?: string | Buffer | undefined
  readonly key?: string | Buffer | undefined
  readonly passphrase?: string | undefined
  readonly ciphers?: string | undefined
  readonly minVersion?: string | undefined
  readonly maxVersion?: string | undefined
  readonly rejectUnauthorized?: boolean | undefined
  readonly verifyIdentity?: boolean | undefined
}

/** What is given to the driver for one connection: files are read again for each. `undefined`: in the clear. */
export type Ssl = (() => Mysql.SslOptions | string) | undefined

/** Breaks the rule that it says. */
export class Fault {
  constructor(
    readonly kind: string,
    readonly rule: string
  ) {}
}

const texts = ["ca", "cert", "key", "passphrase", "ciphers", "minVersion", "maxVersion"] as const
const switches = ["rejectUnauthorized", "verifyIdentity"] as const

const material = (value: unknown): boolean =>
  typeof value === "string" ||
  Buffer.isBuffer(value) ||
  (Array.isArray(value) && value.every((one) => typeof one === "string" || Buffer.isBuffer(one)))

const rule = `an object of ${[...texts, ...switches].join(", ")}, certificates and keys in PEM`

const names = Object.fromEntries([...texts, ...switches].map((name) => [name, true])) as Names<TlsOptions>

/** What is wrong with options of TLS, never showing a value. */
export const fault = (options: unknown): InvalidOptions | undefined => {
  if (typeof options !== "object" || options === null || Array.isArray(options))
    return faulty("tls", `of type ${options === null ? "null" : typeof options}`, rule)
  const isRight = ([name, value]: [string, unknown]) =>
    value === undefined ||
    ((switches as ReadonlyArray<string>).includes(name) ? typeof value === "boolean" : material(value))
  const wrong = Object.entries(options).find((entry) => !isRight(entry))
  return (
    unknownName(options, names, "tls") ??
    (wrong === undefined ? undefined : faulty("tls", `with another \`${wrong[0]}\``, rule))
  )
}

/** Of the option `tls`: all is verified that is not switched off. */
export const ofOptions = (options: TlsOptions): Ssl => {
  const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined))
  const verified = options.rejectUnauthorized !== false
  return () => ({ rejectUnauthorized: verified, verifyIdentity: verified, ...given })
}

type Mode = "none" | "encrypted" | "authority" | "identity"

const modes: Record<string, Mode | undefined> = {
  disabled: "none",
  disable: "none",
  required: "encrypted",
  require: "encrypted",
  verify_ca: "authority",
  verify_identity: "identity",
  verify_full: "identity"
}

const modeRule =
  "DISABLED, REQUIRED (encrypted, and nothing verified), VERIFY_CA, or VERIFY_IDENTITY. The driver cannot do PREFERRED, which would go on in the clear"

/** Parameters that ask for TLS in the words of other drivers, where it is not clear what they verify. */
const unclear = new Set([
  "usessl",
  "requiressl",
  "sslaccept",
  "sslverify",
  "sslverifycert",
  "sslverifyservercert",
  "verifyservercertificate",
  "sslidentity",
  "sslpassword",
  "sslcapath",
  "sslcrl",
  "sslcipher",
  "sslrootcert"
])

const files: Record<string, "ca" | "cert" | "key" | undefined> = { sslca: "ca", sslcert: "cert", sslkey: "key" }

const plain = (name: string): string => name.toLowerCase().replace(/[-_]/g, "")

/** Whether a parameter is one of TLS. */
export const concerns = (name: string): boolean => /^(ssl|tls)|ssl$|^verifyservercertificate$/.test(plain(name))

const fromSsl = (text: string): Ssl | Fault => {
  const bad = new Fault(
    "a URL with another `ssl`",
    `one whose parameter \`ssl\` is true (verified), false, Amazon RDS, or ${rule}; or say \`ssl-mode\``
  )
  let value: unknown = text
  try {
    value = JSON.parse(text)
  } catch {
    // A text as it is.
  }
  if (value === true || value === 1) return ofOptions({})
  if (value === false || value === 0) return undefined
  if (value === "Amazon RDS") return () => "Amazon RDS"
  if (fault(value) !== undefined) return bad
  // As the driver reads it: the name in the certificate is looked at only where `verifyIdentity` says so.
  return () => ({ ...(value as TlsOptions) }) as Mysql.SslOptions
}

const fromTls = (text: string): Ssl | Fault =>
  text === "true"
    ? ofOptions({})
    : text === "false"
      ? undefined
      : text === "skip-verify"
        ? ofOptions({ rejectUnauthorized: false })
        : new Fault("a URL with another `tls`", "one whose parameter `tls` is true (verified), skip-verify, or false")

const read = (paths: ReadonlyMap<"ca" | "cert" | "key", string>) =>
  Object.fromEntries([...paths].map(([name, path]) => [name, Fs.readFileSync(path, "utf8")]))

/** Of the parameters of a URL. */
export const ofUrl = (parameters: ReadonlyArray<readonly [string, string]>): Ssl | Fault => {
  const paths = new Map<"ca" | "cert" | "key", string>()
  const said: Array<{ readonly name: string; readonly ssl: Ssl | Fault; readonly mode?: Mode }> = []
  for (const [name, value] of parameters) {
    const file = files[plain(name)]
    if (file !== undefined) paths.set(file, value)
    else if (plain(name) === "sslmode") {
      const mode = modes[value.toLowerCase().replace(/-/g, "_")]
      if (mode === undefined)
        return new Fault(`a URL with another \`${name}\``, `one whose parameter \`${name}\` is ${modeRule}`)
      said.push({ name, ssl: undefined, mode })
    } else if (name === "ssl") said.push({ name, ssl: fromSsl(value) })
    else if (name === "tls") said.push({ name, ssl: fromTls(value) })
    else {
      const known = unclear.has(plain(name)) ? `, which says not clearly what is verified` : ""
      return new Fault(
        `a URL with the parameter ${name}${known}`,
        `one that asks for TLS by \`ssl-mode\` (${modeRule}), with \`ssl-ca\`, \`ssl-cert\` and \`ssl-key\` as files in PEM`
      )
    }
  }
  if (said.length > 1)
    return new Fault(
      `a URL with ${said.map(({ name }) => name).join(" and ")}`,
      "one that says once whether there is TLS"
    )
  const [one] = said
  if (one?.ssl instanceof Fault) return one.ssl
  // A name of an authority is no use unless it is verified.
  const mode =
    one === undefined || (one.mode === "encrypted" && paths.has("ca"))
      ? paths.size > 0
        ? "authority"
        : undefined
      : one.mode
  if (paths.size > 0) {
    if (one !== undefined && one.mode === undefined)
      return new Fault(`a URL with ${one.name} and files of certificates`, "one that says `ssl-mode` beside them")
    if (mode === "none")
      return new Fault(
        "a URL with files of certificates, and without TLS",
        "one whose `ssl-mode` is VERIFY_CA or VERIFY_IDENTITY beside them"
      )
    try {
      read(paths)
    } catch {
      return new Fault(
        "a URL that names a file of certificates which cannot be read",
        "one whose `ssl-ca`, `ssl-cert` and `ssl-key` are files that can be read"
      )
    }
  }
  if (mode === undefined) return one?.ssl
  if (mode === "none") return undefined
  const how = { rejectUnauthorized: mode !== "encrypted", verifyIdentity: mode === "identity" }
  return () => ({ ...how, ...read(paths) })
}
