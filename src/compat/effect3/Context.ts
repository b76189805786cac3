/** `effect/Context` of Effect 3 in the names of Effect 4. */
import * as Context from "effect/Context"

export * from "effect/Context"

export type Service<Self, Shape> = Context.Tag<Self, Shape>

export function Service<Shape>(key: string): Context.Tag<Shape, Shape>
export function Service<Self, Shape>(): <const Key extends string>(key: Key) => Context.TagClass<Self, Key, Shape>
export function Service(key?: string): unknown {
  return key === undefined ? (name: string) => Context.Tag(name)<unknown, unknown>() : Context.GenericTag(key)
}

export type Reference<Shape> = Context.Reference<any, Shape>

export const Reference = <Shape>(key: string, options: { readonly defaultValue: () => Shape }): Reference<Shape> =>
  Context.Reference<any>()(key, options) as never
