/** How values go to the driver and come back: each with its type and its size, always the same for one statement. */
import type { Row } from "../sql/record.js"
import type { Bind, Binds, Driver } from "./driver.js"
import { type Kind, longestHolds, type Statement } from "./statements.js"

type Constants = Pick<Driver, "BIND_IN" | "BIND_OUT" | "DB_TYPE_NUMBER" | "DB_TYPE_RAW" | "DB_TYPE_VARCHAR">

/** In bytes, as the variables of the blocks are declared. A longer value is refused by the server, and not cut. */
const sizes: Record<Kind, number | undefined> = { bytes: 2000, hex: longestHolds, number: undefined }

const typeOf = (driver: Constants, kind: Kind): Pick<Bind, "type" | "maxSize"> => {
  const type =
    kind === "bytes" ? driver.DB_TYPE_RAW : kind === "number" ? driver.DB_TYPE_NUMBER : driver.DB_TYPE_VARCHAR
  const maxSize = sizes[kind]
  return maxSize === undefined ? { type } : { type, maxSize }
}

const sent = (kind: Kind, value: unknown): unknown =>
  value === "" ? null : kind === "bytes" ? Buffer.from(value as string) : value

const longEnough = (bind: Pick<Bind, "type" | "maxSize">, value: unknown): Pick<Bind, "type" | "maxSize"> => {
  const size = typeof value === "string" || Buffer.isBuffer(value) ? value.length : 0
  return bind.maxSize !== undefined && size > bind.maxSize ? { ...bind, maxSize: size } : bind
}

const outs = (driver: Constants, { told }: Statement): Record<string, Bind> =>
  Object.fromEntries(told.map(({ kind, name }) => [`o_${name}`, { dir: driver.BIND_OUT, ...typeOf(driver, kind) }]))

/** Of a statement that is run once. */
export const once = (driver: Constants, statement: Statement, values: ReadonlyArray<unknown>): Binds => ({
  ...Object.fromEntries(
    statement.given.map(({ kind, name }, i) => {
      const val = sent(kind, values[i])
      return [`i_${name}`, { dir: driver.BIND_IN, ...longEnough(typeOf(driver, kind), val), val }]
    })
  ),
  ...outs(driver, statement)
})

/** Of a block that is run for each row of values. */
export const many = (driver: Constants, statement: Statement, rows: ReadonlyArray<ReadonlyArray<unknown>>) => ({
  rows: rows.map((values) =>
    Object.fromEntries(statement.given.map(({ kind, name }, i) => [`i_${name}`, sent(kind, values[i])]))
  ),
  bindDefs: {
    ...Object.fromEntries(
      statement.given.map(({ kind, name }) => [`i_${name}`, { dir: driver.BIND_IN, ...typeOf(driver, kind) }])
    ),
    ...outs(driver, statement)
  } as Readonly<Record<string, Bind>>
})

/** By their names in the statement. Throws what cannot be read. */
export const toldBy = (outBinds: unknown): Row => {
  if (typeof outBinds !== "object" || outBinds === null) throw new Error("a block answered nothing")
  return Object.fromEntries(Object.entries(outBinds).map(([name, value]) => [name.replace(/^o_/, ""), value]))
}
