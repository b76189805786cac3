/** `effect/Config` of Effect 3, with what stands there in Effect 4. */
import type * as Config from "effect/Config"

export * from "effect/Config"

export type { ConfigError } from "effect/ConfigError"

export type Wrap<A> = Config.Config.Wrap<A>
