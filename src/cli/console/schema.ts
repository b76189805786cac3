/** JSON schemas that know the type of what they describe: what is told of an answer and what is answered cannot differ. */

/** As it stands in the document. */
export type Json = Readonly<Record<string, unknown>>

export interface Schema<out A> {
  readonly json: Json
  /** Of the type alone: it is never there. */
  readonly is?: A
}

export type Of<S> = S extends Schema<infer A> ? A : never

export const text = (description: string, more: Json = {}): Schema<string> => ({
  json: { type: "string", description, ...more }
})

export const oneOf = <const A extends string>(description: string, values: ReadonlyArray<A>): Schema<A> => ({
  json: { type: "string", description, enum: values }
})

export const time = (description: string): Schema<string> => text(description, { format: "date-time" })

export const number = (description: string, more: Json = {}): Schema<number> => ({
  json: { type: "number", description, ...more }
})

export const integer = (description: string, more: Json = {}): Schema<number> => ({
  json: { type: "integer", description, ...more }
})

export const boolean = (description: string): Schema<boolean> => ({ json: { type: "boolean", description } })

export const list = <A>(description: string, items: Schema<A>): Schema<ReadonlyArray<A>> => ({
  json: { type: "array", description, items: items.json }
})

type Properties = Readonly<Record<string, Schema<any>>>

type Fields<R extends Properties, O extends Properties> = { readonly [K in keyof R]: Of<R[K]> } & {
  readonly [K in keyof O]?: Of<O[K]> | undefined
}

/** With nothing beside these. */
export const object = <const R extends Properties, const O extends Properties = {}>(
  description: string,
  required: R,
  optional: O = {} as O
): Schema<Fields<R, O>> => ({
  json: {
    type: "object",
    description,
    properties: Object.fromEntries(
      Object.entries({ ...required, ...optional }).map(([name, { json }]) => [name, json])
    ),
    required: Object.keys(required),
    additionalProperties: false
  }
})
