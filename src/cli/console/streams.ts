/** Everybody who watches, by server-sent events. Their number is bounded, and so is what waits for each of them. */
import type { ServerResponse } from "node:http"
import { Refusal } from "./answer.js"
import type { Looker } from "./looker.js"
import type * as model from "./model.js"

/** In bytes: whoever has not read so much is not reading. */
const unread = 4 << 20

const event = (name: string, data: unknown): string => `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`

export class Streams {
  private readonly responses = new Set<ServerResponse>()
  private stop: (() => void) | undefined

  constructor(
    private readonly looker: Looker,
    private readonly most: number
  ) {}

  get count(): number {
    return this.responses.size
  }

  open(response: ServerResponse): void {
    if (this.responses.size >= this.most)
      throw new Refusal(503, "TOO_MANY", `${this.most} watch already`, { "Retry-After": "10" })
    response.writeHead(200, { "Content-Type": "text/event-stream; charset=utf-8", "X-Accel-Buffering": "no" })
    // All that there is, then what changes: whoever comes again needs to remember nothing.
    this.write(response, `retry: 2000\n${event("state", this.looker.state)}`)
    this.responses.add(response)
    response.once("close", () => {
      this.responses.delete(response)
      if (this.responses.size === 0) this.stop = void this.stop?.()
    })
    this.stop ??= this.looker.listen((look) => this.tell(look))
  }

  private tell(look: model.Look): void {
    const text = event("look", look)
    for (const response of this.responses) this.write(response, text)
  }

  private write(response: ServerResponse, text: string): void {
    if (response.writableLength > unread) response.destroy()
    else response.write(text)
  }

  close(): void {
    for (const response of this.responses) response.end()
  }
}
