/** URLs of storages that have none of their own, read strictly: what is not honoured is refused by name, and nothing else of the text is told. */
import * as Redacted from "effect/Redacted"
import { InvalidOptions } from "../LockError.js"

/** Options of a storage. */
export type Read = Readonly<Record<string, unknown>> | InvalidOptions

const bad = (kind: string, rule: string): InvalidOptions => new InvalidOptions({ field: "url", kind, rule })

/** The name may be a part of a text that was not encoded; so it is told only if it looks like one of a setting. */
const unknownParameter = (name: string, rule: string): InvalidOptions =>
  bad(/^[a-z][a-z_]{1,40}$/i.test(name) ? `a URL with the parameter ${name}` : "a URL with an unknown parameter", rule)

const memoryRule = "memory:, and nothing behind it: a storage of its own for each connection"

export const memory = (text: string): Read =>
  /^memory:(\/\/)?$/.test(text) ? {} : bad("a URL of memory with more behind it", memoryRule)

const sqliteRule =
  "sqlite:path, sqlite:///absolute/path or sqlite::memory:, with the characters ? # % of the path percent-encoded, and without parameters"

export const sqlite = (text: string): Read => {
  const [path, query] = text.slice("sqlite:".length).split("?", 2) as [string, string?]
  if (query !== undefined) return unknownParameter(/^[^=&]*/.exec(query)![0], sqliteRule)
  if (path.includes("#")) return bad("a URL with a raw #", sqliteRule)
  // As with file:, what stands behind two slashes is a host; and libraries do not agree whether a path behind three is absolute if a fourth can follow.
  if (/^\/\/([^/]|$)/.test(path)) return bad("a URL with a host", sqliteRule)
  if (/^\/{4}/.test(path)) return bad("a URL with four slashes", sqliteRule)
  const file = path.startsWith("///") ? path.slice(2).replace(/^\/(?=[A-Za-z]:)/, "") : path
  if (file === "") return bad("a URL without a path", sqliteRule)
  try {
    return { filename: decodeURIComponent(file) }
  } catch {
    return bad("a URL whose path is not percent-encoded rightly", sqliteRule)
  }
}

const dynamodbRule =
  "dynamodb://accessKeyId:secretAccessKey@region/table?endpoint=https%3A%2F%2Fhost%3A8000, of which each part but the scheme may be left out, " +
  "with the characters / ? # @ : % of each percent-encoded"

/** What is left out is as the SDK finds it. */
export const dynamodb = (text: string): Read => {
  const no = (kind: string) => bad(kind, dynamodbRule)
  if (text === "dynamodb:") return {}
  if (!text.startsWith("dynamodb://")) return no("a URL without //")
  if (text.includes("#")) return no("a URL with a raw #")
  try {
    const url = new URL(text)
    const part = (value: string) => (value === "" ? undefined : decodeURIComponent(value))
    if (url.pathname.includes("@") || url.search.includes("@") || url.pathname.indexOf("/", 1) > 0)
      return no("a URL with a raw / or ? or @ in one of its parts")
    if (url.port !== "")
      return no("a URL with a port, though its host is a region (a server is the parameter `endpoint`)")
    for (const [name] of url.searchParams) if (name !== "endpoint") return unknownParameter(name, dynamodbRule)
    const [endpoint, another] = url.searchParams.getAll("endpoint")
    if (another !== undefined) return no("a URL with `endpoint` twice")
    const accessKeyId = part(url.username)
    const secretAccessKey = part(url.password)
    if ((accessKeyId === undefined) !== (secretAccessKey === undefined))
      return no("a URL with one of accessKeyId and secretAccessKey")
    const found = {
      region: part(url.hostname),
      table: part(url.pathname.slice(1)),
      endpoint,
      credentials:
        accessKeyId === undefined || secretAccessKey === undefined
          ? undefined
          : { accessKeyId, secretAccessKey: Redacted.make(secretAccessKey) }
    }
    return Object.fromEntries(Object.entries(found).filter(([, value]) => value !== undefined))
  } catch {
    return no("a URL that cannot be read")
  }
}
