/** `effect/Schema` of Effect 3, with the names of Effect 4 that tests use. */
import * as Schema from "effect/Schema"

export * from "#effect/Schema"

export const decodeEffect = Schema.decode

export const decodeUnknownEffect = Schema.decodeUnknown

export const encodeEffect = Schema.encode
