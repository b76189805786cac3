/** The URL of a Redis. */
import type { RedisOptions } from "ioredis"
import { secretText } from "../../common/input.js"
import { InvalidOptions } from "../../LockError.js"

const rule =
  "a Redacted URL such as redis://user:password@host:6379/0 or rediss://…, with the characters / ? # @ : % of user and password " +
  "percent-encoded, and without parameters (they go to `redis`)"

/** Parameters by their names alone, and those only where nothing of a password can be among them: a raw question mark in one begins what looks like parameters. */
const named = (text: string): string | undefined => {
  const query = text.slice(text.indexOf("?") + 1)
  if (!text.includes("?") || /[@/:]/.test(query)) return undefined
  const names = query.split("&").map((pair) => /^([A-Za-z][\w.-]{0,40})=/.exec(pair)?.[1])
  return names.every((name) => name !== undefined) ? names.join(", ") : undefined
}

const adviceOn = (names: string): string =>
  /\b(ssl|tls|sslmode|ssl-mode)\b/i.test(names)
    ? "rediss:// for TLS, with certificates in `redis: { tls }`, and no parameters: they are not read"
    : "a URL without parameters, which are not read: options of ioredis go to `redis`"

/** Says nothing of the value but its kind: a URL that is not understood may bear its password anywhere. */
export const parse = (value: unknown): RedisOptions | InvalidOptions => {
  const bad = (kind: string, advice = rule) => new InvalidOptions({ field: "url", kind, rule: advice })
  const text = secretText(value)
  if (typeof text !== "string") return bad(text.kind)
  if (!/^rediss?:\/\//i.test(text)) return bad("not a URL of Redis")
  try {
    const url = new URL(text)
    const db = url.pathname.replace(/^\//, "")
    if (text.includes("#")) return bad("a URL with a raw #")
    if (url.search !== "" && url.hostname !== "" && /^\d{0,4}$/.test(db)) {
      const names = named(text)
      if (names !== undefined) return bad(`a URL with the parameter ${names}`, adviceOn(names))
    }
    // A password with a raw slash or question mark moves the rest of it into what follows the host.
    if (text.includes("?") || !/^\d{0,4}$/.test(db) || url.hostname === "")
      return bad("a URL with parameters, or with a raw / or ? in its user or password, or without a host")
    return {
      host: decodeURIComponent(url.hostname).replace(/^\[|\]$/g, ""),
      port: url.port === "" ? 6379 : Number(url.port),
      ...(url.username === "" ? {} : { username: decodeURIComponent(url.username) }),
      ...(url.password === "" ? {} : { password: decodeURIComponent(url.password) }),
      ...(db === "" ? {} : { db: Number(db) }),
      ...(/^rediss:/i.test(text) ? { tls: {} } : {})
    }
  } catch {
    return bad("a URL that cannot be read")
  }
}

export { rule as urlRule }
