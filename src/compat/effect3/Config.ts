/** `effect/Config` of Effect 3, with what stands there in Effect 4. */
import * as Config from "effect/Config"

export * from "effect/Config"

export type { ConfigError } from "effect/ConfigError"

export type Wrap<A> = Config.Config.Wrap<A>

export const Duration = Config.duration

export const Redacted = Config.redacted

export const String = Config.string
