/** Whoever watches the console and does not read costs it no more than a bound. */
import * as Http from "node:http"
import * as Net from "node:net"
import { assert, it } from "vitest"
import type { Looker } from "../../src/cli/console/looker.js"
import { Streams } from "../../src/cli/console/streams.js"

it("whoever does not read is dropped, and whoever reads is not", async () => {
  let tell = (_: unknown) => {}
  let isListening = false
  const looker = {
    state: {},
    listen: (listener: (look: unknown) => void) => {
      tell = listener
      isListening = true
      return () => (isListening = false)
    }
  } as unknown as Looker
  const streams = new Streams(looker, 2)
  const server = Http.createServer((_, response) => streams.open(response))
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const { port } = server.address() as Net.AddressInfo
  const deaf = Net.connect(port, "127.0.0.1")
  deaf.on("error", () => {})
  deaf.pause()
  deaf.write("GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
  let read = 0
  const well = await new Promise<Http.IncomingMessage>((resolve) => Http.get({ port, host: "127.0.0.1" }, resolve))
  well.on("data", (data: Buffer) => (read += data.length))
  while (streams.count < 2) await new Promise((resolve) => setTimeout(resolve, 5))
  let sent = 0
  // More than the kernel keeps for it, and then the bound.
  while (streams.count > 1) {
    tell({ text: "x".repeat(1 << 20) })
    sent += 1 << 20
    assert.isBelow(sent, 256 << 20)
    while (read < sent) await new Promise((resolve) => setTimeout(resolve, 1))
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
  assert.isFalse(well.destroyed)
  well.destroy()
  while (isListening) await new Promise((resolve) => setTimeout(resolve, 5))
  assert.strictEqual(streams.count, 0)
  deaf.destroy()
  server.close()
})
