/** A packet of statements: what is sent in one round trip, and how its results are read. */
import type { Row } from "../sql/record.js"

/** A statement whose text is always the same: its values are variables of the session. A session of our own prepares it once, and by its name it is run without being parsed again. */
export interface Fixed {
  readonly name: string
  readonly text: string
}

export interface Packet {
  readonly statements: ReadonlyArray<string | Fixed>
  /** The rows that answer, from what each statement gave: rows, or for a write whatever the driver says of it. */
  readonly read: (results: ReadonlyArray<unknown>) => ReadonlyArray<Row>
  /** The number of the server's error that is an answer: there is nothing to be done, no row. */
  readonly miss?: number | undefined
  /** One statement of it decides, and commits by itself. On a session that may not be as it was when it was looked at, a COMMIT follows all the same. */
  readonly commits?: boolean | undefined
  /** Its rows name who is to be woken (`sleepers.ts`). */
  readonly wakes?: boolean | undefined
}

/** Whatever the session's `completion_type` would make of a plain one. */
export const commit = "COMMIT AND NO CHAIN NO RELEASE"
export const rollback = "ROLLBACK AND NO CHAIN NO RELEASE"

/** What a session needs around a packet. The results of that are nobody's. */
export interface Wrap {
  readonly before?: string | undefined
  readonly after?: string | undefined
  /** Of a session of our own: the names of the statements that it has prepared. More are added. */
  readonly prepared?: Set<string> | undefined
  /** Of a session of the program's. */
  readonly mayHoldBack?: boolean | undefined
}

/** What is sent, and at which places of its results those of the packet are. */
export interface Text {
  readonly sql: string
  readonly count: number
  readonly places: ReadonlyArray<number>
}

/** What a statement reads is set before it, so a session knows the types of its variables when it prepares one. Its text is told as bytes, as every text. */
export const textOf = (packet: Packet, { after, before, mayHoldBack, prepared }: Wrap): Text => {
  const all: Array<string> = before === undefined ? [] : [before]
  const places = packet.statements.map((statement) => {
    if (typeof statement === "string") return all.push(statement) - 1
    if (prepared === undefined) return all.push(statement.text) - 1
    if (!prepared.has(statement.name)) {
      prepared.add(statement.name)
      all.push(`SET @esl_p = _utf8mb4 ${hex(statement.text)}`, `PREPARE ${statement.name} FROM @esl_p`)
    }
    return all.push(`EXECUTE ${statement.name}`) - 1
  })
  if (packet.commits === true && mayHoldBack === true) all.push(commit)
  if (after !== undefined) all.push(after)
  return { sql: all.join(";\n"), count: all.length, places }
}

/** The driver gives one result as it is, and several as an array. Throws where the answer has another shape than the packet. */
export const rowsOf = (packet: Packet, { count, places }: Text, given: unknown): ReadonlyArray<Row> => {
  const results: unknown = count === 1 ? [given] : given
  if (!Array.isArray(results) || results.length !== count) throw new Error(`not ${count} results`)
  return packet.read(places.map((place) => results[place]))
}

/**
 * Values stand in the text, for the driver prepares no packet of several statements. As hex, a text has no quote and no backslash, whatever the session makes of those, and is bytes, whatever the
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
