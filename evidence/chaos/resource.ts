/** What the locks protect: a process of its own that no fault touches. It knows nothing of locks; it remembers the highest token of each that has written, and that has read, and rejects who is older: a write must be as new as both, a read as the last write. */
import * as Net from "node:net"
import { createInterface } from "node:readline"
import { append, clockFrom } from "./log.js"
import type { FromResource, ToResource } from "./protocol.js"

const [, , logFile, base] = process.argv
const now = clockFrom(BigInt(base!))
const log = append(logFile!)
const written = new Map<string, number>()
const read = new Map<string, number>()

const server = Net.createServer((socket) => {
  socket.setNoDelay(true).on("error", () => socket.destroy())
  createInterface({ input: socket })
    .on("line", (text) => {
      let write: ToResource
      try {
        write = JSON.parse(text) as ToResource
      } catch {
        // Half a line of one who was killed.
        return
      }
      const { access = "write", lock, token } = write
      const top =
        access === "unfenced" ? 0 : Math.max(written.get(lock) ?? 0, access === "write" ? (read.get(lock) ?? 0) : 0)
      const accepted = token >= top
      const numbers = access === "read" ? read : written
      if (accepted && access !== "unfenced") numbers.set(lock, Math.max(numbers.get(lock) ?? 0, token))
      log.write({ type: "judged", t: now(), ...write, accepted })
      if (socket.writable)
        socket.write(
          `${JSON.stringify({ id: write.id, accepted, highest: Math.max(top, token) } satisfies FromResource)}\n`
        )
    })
    .on("error", () => {})
})
server.listen(0, "127.0.0.1", () => process.send?.((server.address() as Net.AddressInfo).port))
// A terminal's Ctrl-C reaches every process of the group; the first one ends the others.
process.on("SIGINT", () => {})
process.on("disconnect", () => process.exit(0))
