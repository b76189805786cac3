/** Statements and their answers in the bytes of the native protocol of Cassandra (version 4), for a proxy. What the driver asks by itself, of the system's tables, is passed over. */
import type * as Proxy from "./proxy.js"

const headLength = 9
const query = 0x07

interface Frame {
  readonly stream: number
  readonly opcode: number
  readonly body: Buffer
}

const frames = () => {
  let rest: Buffer = Buffer.alloc(0)
  return (chunk: Buffer): ReadonlyArray<Frame> => {
    const found: Array<Frame> = []
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
    while (rest.length >= headLength) {
      const length = headLength + rest.readInt32BE(5)
      if (rest.length < length) break
      found.push({ stream: rest.readInt16BE(2), opcode: rest[4]!, body: rest.subarray(headLength, length) })
      rest = rest.subarray(length)
    }
    return found
  }
}

/** Of one that is not prepared. */
const textOf = ({ body, opcode }: Frame): string | undefined =>
  opcode === query ? body.subarray(4, 4 + body.readInt32BE(0)).toString("utf8") : undefined

/** `heard` is told each statement about a table of the program's. */
export const cql =
  (heard: (text: string) => void = () => {}) =>
  (): Proxy.Watch => {
    const asked = frames()
    const answered = frames()
    const open = new Set<number>()
    return {
      asked: (chunk) => {
        let count = 0
        for (const frame of asked(chunk)) {
          const text = textOf(frame)
          if (text === undefined || /\bsystem(_\w+)?\./.test(text) || /^USE\b/.test(text)) continue
          open.add(frame.stream)
          heard(text)
          count++
        }
        return count
      },
      answered: (chunk) => answered(chunk).filter(({ stream }) => open.delete(stream)).length > 0
    }
  }
