/** Parameters of statements with the types that SQL Server needs. */
import * as Tedious from "tedious"
import type { Row } from "../sql/record.js"
import { type Kind, longestId } from "./statements.js"

type DataType = typeof Tedious.TYPES.Int

export interface Parameter {
  readonly type: DataType
  readonly value: unknown
  readonly options: { readonly length?: number }
}

/** Always declared alike, whatever the value's length, so that the server has one plan for each statement. */
export const parameter = (kind: Kind, value: unknown): Parameter => {
  switch (kind) {
    case "id": {
      const bytes = value === null ? null : Buffer.from(value as string)
      // What is longer than the column is refused by the server, not cut.
      return {
        type: Tedious.TYPES.VarBinary,
        value: bytes,
        options: { length: bytes !== null && bytes.length > longestId ? 8000 : longestId }
      }
    }
    case "name":
      return { type: Tedious.TYPES.NVarChar, value, options: { length: 4000 } }
    case "text":
      // Beyond 4000, this means `max`.
      return { type: Tedious.TYPES.NVarChar, value, options: { length: 65_535 } }
    case "bigint":
      return { type: Tedious.TYPES.BigInt, value, options: {} }
    case "int":
      return { type: Tedious.TYPES.Int, value, options: {} }
  }
}

/** Bytes are ids, in UTF-8. */
export const decoded = (value: unknown): unknown => (Buffer.isBuffer(value) ? value.toString("utf8") : value)

export const decodedRow = (row: Row): Row =>
  Object.fromEntries(Object.entries(row).map(([name, value]) => [name, decoded(value)]))
