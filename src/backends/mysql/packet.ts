/** A packet of statements: what is sent in one round trip, and how its results are read. */
import type { Row } from "../sql/record.js"

export interface Packet {
  readonly statements: ReadonlyArray<string>
  /** The rows that answer, from what each statement gave: rows, or for a write whatever the driver says of it. */
  readonly read: (results: ReadonlyArray<unknown>) => ReadonlyArray<Row>
  /** The number of the server's error that is an answer: there is nothing to be done, no row. */
  readonly miss?: number | undefined
}

/** Whatever the session's `completion_type` would make of a plain one. */
export const commit = "COMMIT AND NO CHAIN NO RELEASE"
export const rollback = "ROLLBACK AND NO CHAIN NO RELEASE"

/** Statements around those of a packet, which the session needs and whose results are nobody's. */
export interface Wrap {
  readonly before?: string | undefined
  readonly after?: string | undefined
}

export const sqlOf = ({ statements }: Packet, { after, before }: Wrap): string => {
  const text = statements.join(";\n")
  return `${before === undefined ? "" : `${before};\n`}${text}${after === undefined ? "" : `;\n${after}`}`
}

/** The driver gives one result as it is, and several as an array. Throws where the answer has another shape than the packet. */
export const rowsOf = (packet: Packet, given: unknown, { after, before }: Wrap): ReadonlyArray<Row> => {
  const first = before === undefined ? 0 : 1
  const count = first + packet.statements.length + (after === undefined ? 0 : 1)
  const results: unknown = count === 1 ? [given] : given
  if (!Array.isArray(results) || results.length !== count) throw new Error(`not ${count} results`)
  return packet.read(results.slice(first, first + packet.statements.length))
}

/**
 * Values stand in the text, for several statements cannot be prepared. As hex, a text has no quote and no backslash, whatever the session makes of those, and is bytes, whatever the
 * character set of the connection.
 */
export const hex = (text: string): string => `x'${Buffer.from(text, "utf8").toString("hex")}'`

/** Room for an id of 255 UTF-16 units, and more, in bytes of UTF-8. */
export const longestId = 4 * 255

/** A session that is not strict would cut a longer one, and two ids could become one. */
export const id = (text: string): string => {
  if (Buffer.byteLength(text) > longestId) throw new RangeError(`an id of more than ${longestId} bytes`)
  return hex(text)
}

export const int = (value: number): string => {
  if (!Number.isSafeInteger(value)) throw new RangeError(`${value} is not a safe integer`)
  return String(value)
}

/** Columns of bytes come as buffers. */
export const decoded = (rows: unknown): ReadonlyArray<Row> => {
  if (!Array.isArray(rows)) throw new Error("a result without rows")
  return (rows as ReadonlyArray<Row>).map((row) => {
    const copy: Record<string, unknown> = {}
    for (const name in row) {
      const value = row[name]
      copy[name] = Buffer.isBuffer(value) ? value.toString("utf8") : value
    }
    return copy
  })
}
