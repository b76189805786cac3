/** What the driver takes for a connection, with what our batches need of it, and nothing opened. A setting that would not be obeyed is refused by name, as is one that is unknown. */
import * as Tedious from "tedious"
import { InvalidOptions } from "../../LockError.js"

/** What a value has to be, or nothing if it is obeyed. */
type Rule = (value: unknown) => string | undefined

const obeyed: Rule = () => undefined
const only =
  (value: unknown, why: string): Rule =>
  (given) =>
    given === value || given === undefined
      ? undefined
      : `${value === undefined ? "" : `${String(value)}, or `}left out: ${why}`

const names = "the storage reads rows by the names of its columns"
const ansi = "the rows of locks are written under it, and never cut"

const rules: Record<string, Rule> = {
  ...Object.fromEntries(
    [
      "appName",
      "abortTransactionOnError",
      "connectionIsolationLevel",
      "connectTimeout",
      "connector",
      "cryptoCredentialsDetails",
      "database",
      "datefirst",
      "dateFormat",
      "enableAnsiNullDefault",
      "enableCursorCloseOnCommit",
      "encrypt",
      "instanceName",
      "isolationLevel",
      "language",
      "localAddress",
      "lowerCaseGuids",
      "multiSubnetFailover",
      "packetSize",
      "port",
      "serverName",
      "trustServerCertificate",
      "useUTC",
      "workstationId"
    ].map((name) => [name, obeyed])
  ),
  ...Object.fromEntries(
    [
      "enableAnsiNull",
      "enableAnsiPadding",
      "enableAnsiWarnings",
      "enableArithAbort",
      "enableConcatNullYieldsNull",
      "enableQuotedIdentifier"
    ].map((name) => [name, only(true, ansi)])
  ),
  enableImplicitTransactions: only(false, "each batch has a transaction of its own"),
  enableNumericRoundabort: only(false, ansi),
  readOnlyIntent: only(false, "a readable secondary cannot grant locks"),
  fallbackToDefaultDb: only(false, "the locks would be in another database"),
  columnEncryptionSetting: only(false, "no column of locks is encrypted"),
  rowCollectionOnRequestCompletion: only(true, names),
  rowCollectionOnDone: only(false, names),
  useColumnNames: only(false, names),
  camelCaseColumns: only(false, names),
  columnNameReplacer: only(undefined, names),
  textsize: (value) =>
    value === undefined || value === 2147483647 || value === -1
      ? undefined
      : "2147483647, or left out: a longer text would be cut",
  requestTimeout: only(0, "`operationTimeout` is the limit of an operation"),
  cancelTimeout: only(undefined, "a batch that is out of time is stopped by the storage"),
  maxRetriesOnTransientErrors: only(0, "each failure is told at once, for the lock above knows how long to try"),
  connectionRetryInterval: only(undefined, "each failure is told at once, for the lock above knows how long to try"),
  tdsVersion: (value) =>
    value === undefined || value === "7_4" || value === "7_3_B" || value === "7_3_A" ? undefined : "7_4, or left out"
}

const credentials: Record<string, ReadonlyArray<string>> = {
  default: ["userName", "password"],
  ntlm: ["userName", "password", "domain"],
  "token-credential": ["credential"],
  "azure-active-directory-password": ["userName", "password", "clientId", "tenantId"],
  "azure-active-directory-access-token": ["token"],
  "azure-active-directory-msi-vm": ["clientId"],
  "azure-active-directory-msi-app-service": ["clientId"],
  "azure-active-directory-default": ["clientId"],
  "azure-active-directory-service-principal-secret": ["clientId", "clientSecret", "tenantId"]
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null

/** Where they are told by name, names only: a value may be a secret. */
const told = (name: string): string =>
  /^[A-Za-z][A-Za-z0-9_-]{0,60}$/.test(name) ? `\`${name}\`` : "one of an odd name"

const fault = (given: Readonly<Record<string, unknown>>): readonly [kind: string, rule?: string] | undefined => {
  for (const name of Object.keys(given)) {
    if (!["server", "authentication", "options"].includes(name) && given[name] !== undefined) {
      return [
        `one with ${told(name)}`,
        "of `server`, `authentication` and `options`: the driver passes over all else (user and password stand in `authentication.options`)"
      ]
    }
  }
  const { authentication, options } = given
  if (isObject(options)) {
    for (const [name, value] of Object.entries(options)) {
      if (value === undefined) continue
      const rule = Object.hasOwn(rules, name)
        ? rules[name]!(value)
        : "left out: the driver does not know it, or it has no use here"
      if (rule !== undefined)
        return [`one with another option ${told(name)}`, `one whose option ${told(name)} is ${rule}`]
    }
    if (options.encrypt === "strict" && options.trustServerCertificate === true) {
      return [
        "one with `trustServerCertificate` beside `encrypt` strict",
        "one that trusts no certificate unseen, where `encrypt` is strict: name the authority by `cryptoCredentialsDetails: { ca }`, or leave strict out"
      ]
    }
  }
  if (
    isObject(authentication) &&
    String(authentication.type).startsWith("azure-") &&
    isObject(options) &&
    options.encrypt === false
  ) {
    return [
      "one without encryption and with a token",
      "one whose option `encrypt` is true or strict, where a token is sent"
    ]
  }
  if (isObject(authentication) && isObject(authentication.options) && typeof authentication.type === "string") {
    const known = Object.hasOwn(credentials, authentication.type) ? credentials[authentication.type]! : undefined
    const unknown = Object.keys(authentication.options).find((name) => known !== undefined && !known.includes(name))
    if (unknown !== undefined)
      return [
        `one with ${told(unknown)} in \`authentication.options\``,
        `one whose \`authentication.options\` are ${known!.join(", ")}, for this type`
      ]
  }
  return undefined
}

/** `patience`: for how long a connection is tried, in milliseconds, if nothing is said of that. */
export const resolve = (
  field: string,
  value: unknown,
  patience: number
): Tedious.ConnectionConfiguration | InvalidOptions => {
  const bad = (kind: string, rule = "what tedious takes for a Connection") => new InvalidOptions({ field, kind, rule })
  if (!isObject(value)) return bad(`of type ${value === null ? "null" : typeof value}`)
  const found = fault(value)
  if (found !== undefined) return bad(...found)
  const given = value as unknown as Tedious.ConnectionConfiguration
  const config: Tedious.ConnectionConfiguration = {
    ...given,
    options: {
      connectTimeout: Math.ceil(Math.max(1_000, patience)),
      appName: "effect-storage-lock",
      ...given.options,
      // The driver writes into it.
      ...(given.options?.cryptoCredentialsDetails === undefined
        ? {}
        : { cryptoCredentialsDetails: { ...given.options.cryptoCredentialsDetails } }),
      rowCollectionOnRequestCompletion: true,
      rowCollectionOnDone: false,
      useColumnNames: false,
      camelCaseColumns: false,
      textsize: 2147483647,
      requestTimeout: 0,
      // The pool has given up long before.
      cancelTimeout: 60_000,
      maxRetriesOnTransientErrors: 0,
      enableAnsiWarnings: true,
      enableAnsiNull: true,
      enableAnsiPadding: true,
      enableArithAbort: true,
      enableConcatNullYieldsNull: true,
      enableQuotedIdentifier: true,
      enableNumericRoundabort: false,
      enableImplicitTransactions: false
    }
  }
  try {
    new Tedious.Connection(config)
    return config
  } catch (error) {
    // Its message names the property, never the value.
    return bad(error instanceof Error ? `refused by tedious: ${error.message}` : "refused by tedious")
  }
}
