/** Certificates and their keys, as options give them. */
import * as Redacted from "effect/Redacted"
import { invalid } from "../../common/input.js"
import { unknownName } from "../../common/optionNames.js"
import { InvalidOptions } from "../../LockError.js"

export interface Tls {
  readonly ca?: string | Uint8Array | undefined
  /** The client's certificate, for servers that require one, with its `key`. */
  readonly cert?: string | Uint8Array | undefined
  readonly key?: Redacted.Redacted<string | Uint8Array> | undefined
}

/** What is absent is as the driver has it. */
export interface Pems {
  readonly ca?: Buffer
  readonly cert?: Buffer
  readonly key?: Buffer
}

const bytes = (value: unknown): Buffer | undefined =>
  typeof value === "string" && value !== ""
    ? Buffer.from(value, "utf8")
    : value instanceof Uint8Array && value.length > 0
      ? Buffer.from(value)
      : undefined

/** Of an object. */
export const pems = (options: Tls): Pems | InvalidOptions => {
  const unknown = unknownName<Tls>(options, { ca: true, cert: true, key: true }, "tls")
  if (unknown !== undefined) return unknown
  const { ca, cert, key } = options
  const given = { ca, cert, key: key === undefined ? undefined : Redacted.isRedacted(key) ? Redacted.value(key) : null }
  const found: { ca?: Buffer; cert?: Buffer; key?: Buffer } = {}
  for (const field of ["ca", "cert", "key"] as const) {
    if (given[field] === undefined) continue
    const pem = bytes(given[field])
    if (pem === undefined)
      return new InvalidOptions({
        field: `tls.${field}`,
        kind: "something else",
        rule: "a text or bytes in PEM, the key Redacted"
      })
    found[field] = pem
  }
  return (cert === undefined) === (key === undefined)
    ? found
    : invalid("tls", cert === undefined ? "key without cert" : "cert without key", "both cert and key, or neither")
}
