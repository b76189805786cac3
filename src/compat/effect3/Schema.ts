/** `effect/Schema` of Effect 3 in the names of Effect 4. */
import * as Schema from "effect/Schema"

export * from "effect/Schema"

export type Codec<A, I = A> = Schema.Schema<A, I>

export const Literals = <const L extends readonly [string, ...Array<string>]>(literals: L): Schema.Literal<[...L]> =>
  Schema.Literal(...literals)

export const Union = <const Members extends ReadonlyArray<Schema.Schema.All>>(
  members: Members
): Schema.Schema<
  Schema.Schema.Type<Members[number]>,
  Schema.Schema.Encoded<Members[number]>,
  Schema.Schema.Context<Members[number]>
> => Schema.Union(...members)

export const fromJsonString = Schema.parseJson

export const Defect = (): typeof Schema.Defect => Schema.Defect

export const DateTimeUtcFromString = Schema.DateTimeUtc
