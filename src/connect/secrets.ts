/** Secrets among the options of a storage, as the storages want them. */
import * as Redacted from "effect/Redacted"

const isText = (value: unknown): value is string | Uint8Array =>
  typeof value === "string" || value instanceof Uint8Array

/** What stands at this path of an option, sealed if it is a plain text. What a function gives, too. */
const sealed = (value: unknown, path: ReadonlyArray<string>): unknown => {
  if (typeof value === "function") return async () => sealed(await (value as () => unknown)(), path)
  const [name, ...rest] = path
  if (name === undefined) return isText(value) ? Redacted.make(value) : value
  return typeof value === "object" && value !== null && Object.hasOwn(value, name)
    ? { ...value, [name]: sealed((value as Record<string, unknown>)[name], rest) }
    : value
}

/** `paths`: where secrets are, as in `tls.key`. */
export const seal = (
  options: Readonly<Record<string, unknown>>,
  paths: ReadonlyArray<string>
): Readonly<Record<string, unknown>> =>
  paths.reduce((all, path) => sealed(all, path.split(".")) as Readonly<Record<string, unknown>>, options)
