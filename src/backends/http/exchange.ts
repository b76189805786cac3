/** A request, and what becomes of it: a response of whatever status, or why there is none. */

export interface Request {
  readonly method: "GET" | "POST" | "PUT" | "DELETE"
  /** From the first slash on, with the query. Percent-encoded. */
  readonly path: string
  readonly headers?: Readonly<Record<string, string>> | undefined
  readonly body?: string | undefined
}

/** What only reads is surely not applied when it fails. */
export type Kind = "reads" | "writes"

export interface Response {
  readonly _tag: "Response"
  readonly status: number
  readonly text: string
  readonly header: (name: string) => string | undefined
  /** An earlier try of the same request may have been done, whatever this one says. */
  readonly doubtful?: boolean | undefined
}

/** Why there is no response. */
export interface Failure {
  readonly _tag: "Failure"
  /** Whether the server may have read the request. */
  readonly sent: "no" | "maybe"
  /** `silent`: out of time. `broken`: the connection ended before the response did. */
  readonly kind: "unreached" | "silent" | "broken"
  /** What the driver says. */
  readonly error?: unknown
}

export type Outcome = Response | Failure

/** Where a request goes. */
export interface Target {
  /** `https://host:port`, and the path under which all is, without a slash at its end. Empty: the client knows. */
  readonly base: string
}

/** In milliseconds from now. */
export interface Patience {
  /** For the connection, if there is none yet. */
  readonly connect: number
  readonly whole: number
}

/** Sends requests. Keeps its word about `Patience`, whatever the server does. */
export interface Transport {
  /** Tells once what became of it. The function gives it up, and then nothing is told. */
  readonly send: (target: Target, request: Request, patience: Patience, done: (outcome: Outcome) => void) => () => void
  readonly close: () => void
}

export const failure = (sent: Failure["sent"], kind: Failure["kind"], error?: unknown): Failure => ({
  _tag: "Failure",
  sent,
  kind,
  error
})

/** A part of a path or a query, encoded so that nobody on the way reads it otherwise: those who sign requests encode these characters, too. */
export const encoded = (text: string): string =>
  encodeURIComponent(text).replace(/[!'()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`)
