/** A worker's way to the resource. */
import * as Effect from "#effect/Effect"
import * as Net from "node:net"
import { createInterface } from "node:readline"
import type { FromResource, ToResource } from "./protocol.js"

export interface Writer {
  /** Sends now; the effect waits for the answer. */
  readonly send: (write: ToResource) => Effect.Effect<FromResource>
  readonly close: () => void
}

export const connect = (port: number): Writer => {
  const waiting = new Map<number, (answer: Effect.Effect<FromResource>) => void>()
  const answers = new Map<number, FromResource>()
  const socket = Net.connect(port, "127.0.0.1").setNoDelay(true)
  // Without the resource nothing can be said of the run.
  socket.on("error", (error) => {
    throw error
  })
  createInterface({ input: socket }).on("line", (text) => {
    const answer = JSON.parse(text) as FromResource
    const resume = waiting.get(answer.id)
    waiting.delete(answer.id)
    if (resume === undefined) answers.set(answer.id, answer)
    else resume(Effect.succeed(answer))
  })
  return {
    send: (write) => {
      socket.write(`${JSON.stringify(write)}\n`)
      return Effect.callback<FromResource>((resume) => {
        const answer = answers.get(write.id)
        answers.delete(write.id)
        if (answer !== undefined) return resume(Effect.succeed(answer))
        waiting.set(write.id, resume)
        // Who does not wait for it any more does not want it: it is forgotten when it comes.
        return Effect.sync(() => void waiting.set(write.id, () => {}))
      })
    },
    close: () => socket.destroy()
  }
}
