/** Words of four letters, which a server answers with what it knows of itself, to anybody, if they are on its list. */
import * as Effect from "#effect/Effect"
import * as Net from "node:net"

/** In milliseconds. */
const patience = 3_000

/** What it says; nothing if it says nothing, or will not. */
export const ask = (
  { host, port }: { readonly host: string; readonly port: number },
  word: "srvr" | "conf"
): Effect.Effect<string | undefined> =>
  Effect.callback((resume) => {
    let told = ""
    const socket = Net.connect(port, host, () => socket.write(word))
    const end = () => {
      resume(Effect.succeed(told === "" || /not in the whitelist/.test(told) ? undefined : told))
      socket.destroy()
    }
    socket.setTimeout(patience, end)
    socket.on("data", (chunk) => (told += chunk.toString()))
    socket.on("error", end)
    socket.on("close", end)
    return Effect.sync(() => socket.destroy())
  })
