/** Requests within the time of their caller, and what the answers say. */
import * as Effect from "#effect/Effect"
import * as Exit from "#effect/Exit"
import { StorageError } from "../../LockError.js"
import * as direct from "../../common/direct.js"
import type { Call, Client } from "../http/client.js"
import type { Response } from "../http/exchange.js"
import { isObject, type Json, parsed } from "../http/json.js"
import * as errors from "./errors.js"

/** A request whose path may bear how long the server may wait for shards. */
export interface Ask extends Omit<Call, "request" | "operation"> {
  readonly method: Call["request"]["method"]
  readonly path: string
  readonly query?: Readonly<Record<string, string>> | undefined
  /** The server gives up before the caller does, so that the caller mostly gets a definite answer. */
  readonly timed?: boolean | undefined
  readonly body?: Json | ReadonlyArray<Json> | undefined
}

/** What was answered: with a status below 400, or one that the request takes for an answer, too. */
export interface Answer {
  readonly status: number
  readonly body: Json
}

export interface Runner {
  /** Answers by a callback. `also`: statuses that are no failures. */
  readonly asking: <Request, A>(
    operation: string,
    ask: (request: Request) => Ask,
    read: (request: Request, answer: Answer) => A | StorageError,
    also?: (answer: Answer) => boolean
  ) => direct.Ask<Request, A>
  readonly run: (operation: string, ask: Ask, also?: (answer: Answer) => boolean) => Effect.Effect<Answer, StorageError>
}

export const isMissing = ({ body, status }: Answer): boolean =>
  status === 404 && (body.error === undefined || body.error?.type === "document_missing_exception")

const bodyOf = (body: Ask["body"]): string | undefined =>
  body === undefined
    ? undefined
    : Array.isArray(body)
      ? body.map((line) => `${JSON.stringify(line)}\n`).join("")
      : JSON.stringify(body)

export const make = (client: Client, operationTimeout: number): Runner => {
  const call = (operation: string, ask: Ask, millis: number): Call => {
    const query = new URLSearchParams({
      ...ask.query,
      ...(ask.timed === true ? { timeout: `${Math.max(1, Math.floor(0.8 * millis))}ms` } : {})
    }).toString()
    const body = bodyOf(ask.body)
    return {
      operation,
      kind: ask.kind,
      repeatable: ask.repeatable,
      request: {
        method: ask.method,
        path: `${ask.path}${query === "" ? "" : `?${query}`}`,
        body,
        headers: {
          accept: "application/json",
          ...(body === undefined
            ? {}
            : { "content-type": Array.isArray(ask.body) ? "application/x-ndjson" : "application/json" })
        }
      }
    }
  }

  const judge = (
    operation: string,
    { kind }: Ask,
    { doubtful, status, text }: Response,
    also: (answer: Answer) => boolean
  ): Answer | StorageError => {
    const body = parsed(text)
    if (isObject(body) && (status < 300 || also({ status, body }))) return { status, body }
    if (status < 400) return errors.odd(operation, kind, `an answer (${status}) is not of JSON`)
    const error: unknown = isObject(body) ? body.error : undefined
    const told = errors.told(
      operation,
      status,
      isObject(error) ? error : typeof error === "string" ? { reason: error } : {},
      kind
    )
    return doubtful === true && kind === "writes" ? errors.doubtful(told) : told
  }

  const asking: Runner["asking"] =
    (operation, ask, read, also = () => false) =>
    (request, limit, done) => {
      const asked = ask(request)
      const millis = Math.max(1, Math.min(limit, operationTimeout))
      const settle = (response: Response): Effect.Effect<any, StorageError> => {
        try {
          const answer = judge(operation, asked, response, also)
          const value = answer instanceof StorageError ? answer : read(request, answer)
          return value instanceof StorageError ? Effect.fail(value) : Effect.succeed(value)
        } catch {
          return Effect.fail(errors.odd(operation, asked.kind, "an answer has not the shape of one"))
        }
      }
      client.ask(call(operation, asked, millis), millis, (answer) =>
        done(
          Exit.isExit(answer) && Exit.isSuccess(answer as Exit.Exit<Response, StorageError>)
            ? settle((answer as Exit.Success<Response, StorageError>).value)
            : Effect.flatMap(answer, settle)
        )
      )
    }

  return {
    asking,
    run: (operation, ask, also) =>
      direct.effectOf(
        asking<Ask, Answer>(
          operation,
          (ask) => ask,
          (_, answer) => answer,
          also
        )
      )(ask)
  }
}
