/** Who may ask, and who may change anything. */
import { createHash, timingSafeEqual } from "node:crypto"
import type { IncomingMessage } from "node:http"
import { isIP } from "node:net"
import { Refusal } from "./answer.js"

export interface Guard {
  /** Names by which the console may be asked, beside addresses and `localhost`. */
  readonly names: ReadonlySet<string>
  /** Absent if nothing may be changed. */
  readonly token: string | undefined
}

/** Without the port: a tunnel may have another one. */
const nameOf = (host: string): string => {
  const [, name = ""] = /^(\[[^\]]+\]|[^:]*)(?::\d{1,5})?$/.exec(host) ?? []
  return name.toLowerCase()
}

/** A site elsewhere can let its own name point to this machine, but it cannot be called by an address. */
const isOurs = (host: string, names: ReadonlySet<string>): boolean => {
  const name = nameOf(host)
  return name === "localhost" || names.has(name) || isIP(name.replace(/^\[(.*)\]$/, "$1")) !== 0
}

/** No other site may ask: not even for what it could not read. */
export const askedByUs = ({ headers }: IncomingMessage, { names }: Guard): void => {
  const host = headers.host ?? ""
  if (!isOurs(host, names)) {
    throw new Refusal(
      421,
      "UNKNOWN_HOST",
      "the console is not known by this name: ask it by an address, or start it with --allow-host NAME"
    )
  }
  const { origin } = headers
  if (origin !== undefined && origin !== `http://${host}` && origin !== `https://${host}`)
    throw new Refusal(403, "FOREIGN_ORIGIN", "asked by another site")
  const site = headers["sec-fetch-site"]
  // A link to the page is no harm.
  if ((site === "cross-site" || site === "same-site") && headers["sec-fetch-mode"] !== "navigate")
    throw new Refusal(403, "FOREIGN_ORIGIN", "asked by another site")
}

const digest = (text: string): Buffer => createHash("sha256").update(text).digest()

export const mayWrite = ({ headers }: IncomingMessage, { token }: Guard): void => {
  if (token === undefined)
    throw new Refusal(403, "READ_ONLY", "this console changes nothing: start it with --write to release locks")
  const [, given] = /^Bearer +(\S+) *$/i.exec(headers.authorization ?? "") ?? []
  // Of the same length, so that the time it takes says nothing.
  if (given === undefined || !timingSafeEqual(digest(given), digest(token))) {
    throw new Refusal(
      401,
      "UNAUTHORIZED",
      "the token of the console is missing or wrong: it was shown when it started",
      {
        "WWW-Authenticate": 'Bearer realm="storage-lock console"'
      }
    )
  }
}
