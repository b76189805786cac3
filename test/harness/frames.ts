/** Requests and replies in the bytes of the PostgreSQL protocol. */

const sslRequest = 80877103
const gssRequest = 80877104
const sync = "S".charCodeAt(0)
const query = "Q".charCodeAt(0)

/**
 * Fed with what a client sends, in any pieces, says how many requests (Sync or Query: one reply to wait for each) each piece completed.
 */
export const requests = (): ((chunk: Buffer) => number) => {
  let rest: Buffer = Buffer.alloc(0)
  let started = false
  return (chunk) => {
    let complete = 0
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
    for (;;) {
      // Before it has started, a client's messages have no type.
      const head = started ? 1 : 0
      if (rest.length < head + 4) return complete
      const length = rest.readInt32BE(head)
      if (rest.length < head + length) return complete
      if (started) {
        if (rest[0] === sync || rest[0] === query) complete++
      } else if (rest.length < 8) {
        return complete
      } else {
        const code = rest.readInt32BE(4)
        started = code !== sslRequest && code !== gssRequest
      }
      rest = rest.subarray(head + length)
    }
  }
}

/** Fed with what a server sends, says whether it ends with ReadyForQuery: nothing more comes until the next request. */
export const replyEnds = (): ((chunk: Buffer) => boolean) => {
  let tail: Buffer = Buffer.alloc(0)
  return (chunk) => {
    tail = Buffer.concat([tail, chunk]).subarray(-6)
    return (
      tail.length === 6 &&
      tail[0] === "Z".charCodeAt(0) &&
      tail.readInt32BE(1) === 5 &&
      "ITE".includes(String.fromCharCode(tail[5]!))
    )
  }
}
