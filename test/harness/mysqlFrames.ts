/** Requests and replies in the bytes of the MySQL protocol, as far as a client asks for no compression and no TLS, and knows EOF packets. */
import type { Watch } from "./proxy.js"

/** Cuts a stream into packets: their number in the exchange, and their payload. */
const packets = () => {
  let rest: Buffer = Buffer.alloc(0)
  return (chunk: Buffer): ReadonlyArray<{ readonly sequence: number; readonly payload: Buffer }> => {
    const found: Array<{ sequence: number; payload: Buffer }> = []
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
    while (rest.length >= 4) {
      const length = rest.readUIntLE(0, 3)
      if (rest.length < 4 + length) break
      found.push({ sequence: rest[3]!, payload: rest.subarray(4, 4 + length) })
      rest = rest.subarray(4 + length)
    }
    return found
  }
}

const moreResults = 0x0008

/** Behind the head and two integers of one to nine bytes. */
const statusOfOk = (payload: Buffer): number => {
  let at = 1
  for (let i = 0; i < 2; i++) at += ({ 0xfc: 3, 0xfd: 4, 0xfe: 9 } as Record<number, number>)[payload[at]!] ?? 1
  return payload.readUInt16LE(at)
}

/** A command begins an exchange: its number is 0. A reply ends with the last result that says that no more follow. */
export const watch = (): Watch => {
  const fromClient = packets()
  const fromServer = packets()
  let state: "idle" | "head" | "columns" | "rows" = "idle"
  const step = (payload: Buffer): void => {
    const first = payload[0]
    const more = (status: number) => {
      state = (status & moreResults) !== 0 ? "head" : "idle"
    }
    if (state === "idle") return
    if (first === 0xff) state = "idle"
    else if (state === "head") {
      if (first === 0x00) more(statusOfOk(payload))
      else state = "columns"
    } else if (first === 0xfe && payload.length < 9) {
      if (state === "columns") state = "rows"
      else more(payload.readUInt16LE(3))
    }
  }
  return {
    asked: (chunk) => {
      const commands = fromClient(chunk).filter(({ sequence }) => sequence === 0).length
      if (commands > 0) state = "head"
      return commands
    },
    answered: (chunk) => {
      for (const { payload } of fromServer(chunk)) step(payload)
      return state === "idle"
    }
  }
}
