/** The drivers, which a program installs beside this package: only those that it uses. */
import * as Effect from "#effect/Effect"

const isMissing = (error: unknown, name: string): boolean => {
  const { code, message } = Object(error) as { readonly code?: unknown; readonly message?: unknown }
  return /MODULE_NOT_FOUND$/.test(String(code)) && String(message).includes(`'${name}'`)
}

/** What a failed load is told as: what to install, if nothing else is wrong. */
export const explained = (storage: string, packages: ReadonlyArray<string>, error: unknown): unknown =>
  packages.some((name) => isMissing(error, name))
    ? new Error(
        `${storage} of effect-storage-lock needs ${packages.join(" and ")}, which ${packages.length === 1 ? "is" : "are"} not installed: \`npm install ${packages.join(" ")}\`.`,
        { cause: error }
      )
    : error

/**
 * Loads what imports a driver, when a storage is made. If the public module imported it, a driver that is missing would end the program with words of Node.js,
 * before any line of ours could run.
 */
export const peer = <A>(storage: string, packages: ReadonlyArray<string>, load: () => Promise<A>): Effect.Effect<A> =>
  Effect.promise(() =>
    load().catch((error: unknown) => {
      throw explained(storage, packages, error)
    })
  )
