/** `effect/Schema` of Effect 3 in the names of Effect 4. */
import * as Schema from "effect/Schema"

export * from "effect/Schema"

export type Codec<A, I = A> = Schema.Schema<A, I>

export const Literals = <const L extends readonly [string, ...Array<string>]>(literals: L): Schema.Literal<[...L]> => Schema.Literal(...literals)

export { parseJson as fromJsonString } from "effect/Schema"

export const Defect = (): typeof Schema.Defect => Schema.Defect

export { decode as decodeEffect, decodeUnknown as decodeUnknownEffect, encode as encodeEffect } from "effect/Schema"

export { DateTimeUtc as DateTimeUtcFromString } from "effect/Schema"
