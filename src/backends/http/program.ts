/** The program's own client as a transport: with its signatures, its proxies, its traces. */
import * as Effect from "#effect/Effect"
import * as Exit from "#effect/Exit"
import type * as HttpClient from "#effect/http/HttpClient"
import * as HttpClientRequest from "#effect/http/HttpClientRequest"
import * as Cause from "#effect/Cause"
import type { Run } from "#effect/fibers"
import * as exchange from "./exchange.js"
import { chain, isUnreached } from "./codes.js"

const longestTimer = 2 ** 31 - 1

interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly text: Effect.Effect<string, unknown>
}

const isAnswer = (value: unknown): value is Answer =>
  typeof value === "object" && value !== null && "status" in value && "headers" in value && "text" in value

/** A client that fails for the status of a response has it in its error. */
const answerIn = (error: unknown): Answer | undefined =>
  chain(error)
    .map(({ response }) => response)
    .find(isAnswer)

const read = (answer: Answer): Effect.Effect<exchange.Response, unknown> =>
  Effect.map(answer.text, (text) => ({
    _tag: "Response",
    status: answer.status,
    text,
    header: (name) => answer.headers[name.toLowerCase()]
  }))

const requestOf = ({ base }: exchange.Target, { body, headers, method, path }: exchange.Request) => {
  const bare = HttpClientRequest.make(method)(`${base}${path}`)
  const headed = HttpClientRequest.setHeaders(bare, headers ?? {})
  return body === undefined ? headed : HttpClientRequest.bodyText(headed, body, headers?.["content-type"])
}

export const make = (client: HttpClient.HttpClient, run: Run): exchange.Transport => ({
  send: (target, request, { whole }, done) => {
    let over = false
    const end = (outcome: exchange.Outcome) => {
      if (over) return
      over = true
      clearTimeout(timer)
      done(outcome)
    }
    const asked = Effect.suspend(() => client.execute(requestOf(target, request))).pipe(
      Effect.flatMap(read),
      Effect.catch((error) => {
        const answer = answerIn(error)
        return answer === undefined ? Effect.fail(error) : read(answer)
      })
    )
    // Whether it got so far as to send anything is for the client to know.
    const timer = setTimeout(
      () => {
        end(exchange.failure("maybe", "silent"))
        stop()
      },
      Math.min(whole, longestTimer)
    )
    const stop = run.callback(asked, (exit) => {
      if (Exit.isSuccess(exit)) return end(exit.value)
      const error = Cause.squash(exit.cause)
      end(exchange.failure(isUnreached(error) ? "no" : "maybe", isUnreached(error) ? "unreached" : "broken", error))
    })
    return () => {
      over = true
      clearTimeout(timer)
      stop()
    }
  },
  close: () => {}
})
