/**
 * The driver's connection, with what it lacks. It reads answers where nobody can catch what it throws, so that a few bytes of whoever listens at that port would end the process; it goes on
 * in the clear, and tells the password so, if a server says that it has no encryption; and it passes over what the server says of its own settings.
 */
import * as Tedious from "tedious"
import { PreLoginFault, preLoginFault } from "./preLogin.js"

interface Emitting {
  readonly on: (event: "error", listener: (error: unknown) => void) => unknown
  readonly destroy: () => unknown
}

export class Connection extends Tedious.Connection {
  /** The server's error messages since the start. */
  readonly told: Array<{ readonly number: number | undefined; readonly message: string }> = []
  /** The database, as the server told last. */
  database: string | undefined = undefined
  /** Whether TLS was made, of the kind that is within the protocol. */
  secured = false

  constructor(config: Tedious.ConnectionConfiguration) {
    super(config)
    // An "error" that nobody hears ends the process.
    this.on("error", () => {})
    this.on("errorMessage", (token) => {
      const { message, number } = token as unknown as { readonly message?: unknown; readonly number?: unknown }
      this.told.push({ number: typeof number === "number" ? number : undefined, message: String(message) })
    })
    this.on("databaseChange", (name: unknown) => {
      this.database = typeof name === "string" ? name : ""
    })
    this.on("secure", () => {
      this.secured = true
    })
  }

  /** One that was closed while it had no socket yet would be opened all the same, and left so. */
  override socketHandlingForSendPreLogin(
    ...[socket]: Parameters<Tedious.Connection["socketHandlingForSendPreLogin"]>
  ): void {
    if (this.state === this.STATE.FINAL) socket.destroy()
    else super.socketHandlingForSendPreLogin(socket)
  }

  /** The first answer is looked at before the driver sees it. */
  override sendPreLogin(): void {
    const io = this.messageIo
    const read = io.readMessage.bind(io)
    const encrypted = this.config.options.encrypt === true
    io.readMessage = async () => {
      io.readMessage = read
      const message = await read()
      const parts: Array<Buffer> = []
      for await (const part of message) parts.push(part as Buffer)
      const body = Buffer.concat(parts)
      const fault = preLoginFault(body, encrypted)
      if (fault !== undefined) throw fault
      return [body] as unknown as typeof message
    }
    super.sendPreLogin()
  }

  override createTokenStreamParser(
    ...[message, handler]: Parameters<Tedious.Connection["createTokenStreamParser"]>
  ): ReturnType<Tedious.Connection["createTokenStreamParser"]> {
    const started: { forget?: () => void } = {}
    let failed = false
    const fail = (cause: unknown) => {
      if (failed) return
      failed = true
      // Else it comes to an end, of which the driver would believe that all was well.
      started.forget?.()
      if (this.state !== this.STATE.FINAL)
        this.socketError(
          new PreLoginFault(`the answer cannot be read (${cause instanceof Error ? cause.message : String(cause)})`)
        )
    }
    const guarded = new Proxy(handler, {
      get: (target, name) => {
        const property: unknown = Reflect.get(target, name)
        return typeof property !== "function"
          ? property
          : (...args: ReadonlyArray<unknown>) => {
              try {
                return Reflect.apply(property, target, args) as unknown
              } catch (cause) {
                fail(cause)
              }
            }
      }
    })
    const parser = super.createTokenStreamParser(message, guarded)
    const stream = (parser as unknown as { readonly parser: Emitting }).parser
    stream.on("error", fail)
    started.forget = () => {
      parser.removeAllListeners("end")
      stream.destroy()
    }
    return parser
  }
}
