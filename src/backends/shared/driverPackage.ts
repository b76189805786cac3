/** The drivers, which a program installs beside this package: only those that it uses. */
import * as Data from "effect/Data"
import * as Effect from "#effect/Effect"

/** A driver that is not installed: which storage needs it, and what to install. */
export class MissingDriver extends Data.TaggedError("MissingDriver")<{
  readonly storage: string
  readonly packages: ReadonlyArray<string>
  readonly cause: unknown
}> {
  override get message(): string {
    const { packages, storage } = this
    return `${storage} of effect-storage-lock needs ${packages.join(" and ")}, which ${packages.length === 1 ? "is" : "are"} not installed: \`npm install ${packages.join(" ")}\`.`
  }
}

const isMissing = (error: unknown, name: string): boolean => {
  const { code, message } = Object(error) as { readonly code?: unknown; readonly message?: unknown }
  return /MODULE_NOT_FOUND$/.test(String(code)) && String(message).includes(`'${name}'`)
}

/** What a failed load is told as: what to install, if nothing else is wrong. */
export const explained = (storage: string, packages: ReadonlyArray<string>, cause: unknown): unknown =>
  packages.some((name) => isMissing(cause, name)) ? new MissingDriver({ storage, packages, cause }) : cause

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
