/** `effect/Config` of Effect 3, with the names of Effect 4 that tests use. */
import * as Config from "effect/Config"

export * from "effect/Config"

export const Duration = Config.duration

export const Redacted = Config.redacted

export const String = Config.string
