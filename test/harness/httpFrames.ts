/** Requests and responses of HTTP/1.1 told apart on one connection, for a proxy. */
import type * as Proxy from "./proxy.js"

/** Counts messages that are complete. A message without a length has no body, unless it comes in chunks. */
const messages = () => {
  let rest: Buffer = Buffer.alloc(0)
  const lengthOf = (): number | undefined => {
    const head = rest.indexOf("\r\n\r\n")
    if (head < 0) return undefined
    const headers = rest.subarray(0, head).toString("latin1")
    const body = head + 4
    if (/^transfer-encoding:\s*chunked/im.test(headers)) {
      const end = rest.indexOf("0\r\n\r\n", body)
      return end < 0 ? undefined : end + 5
    }
    return body + Number(/^content-length:\s*(\d+)/im.exec(headers)?.[1] ?? 0)
  }
  return (chunk: Buffer): number => {
    rest = Buffer.concat([rest, chunk])
    let count = 0
    for (let length = lengthOf(); length !== undefined && length <= rest.length; length = lengthOf()) {
      rest = rest.subarray(length)
      count++
    }
    return count
  }
}

export const http = (): Proxy.Watch => {
  const asked = messages()
  const answered = messages()
  return { asked, answered: (chunk) => answered(chunk) > 0 }
}
