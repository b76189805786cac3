/**
 * Looks at what a case asks of its storage: which locks it touched, and what it asked last.
 */
import * as Effect from "#effect/Effect"
import * as Exit from "#effect/Exit"
import type * as Storage from "../Storage.js"

interface Call {
  readonly text: string
  answer: string
}

const kept = 6

/** What one case has asked, of all its connections. */
export class Watch {
  /** Locks that it may have left behind. */
  readonly touched = new Set<string>()
  private readonly calls: Array<Call> = []

  private called<A, E, R>(
    text: string,
    answerOf: (value: A) => string,
    effect: Effect.Effect<A, E, R>
  ): Effect.Effect<A, E, R> {
    return Effect.suspend(() => {
      const call: Call = { text, answer: "no answer yet" }
      this.calls.push(call)
      if (this.calls.length > kept) this.calls.shift()
      return Effect.onExit(effect, (exit) =>
        Effect.sync(() => {
          call.answer = Exit.isSuccess(exit) ? answerOf(exit.value) : Exit.hasInterrupts(exit) ? "given up" : "an error"
        })
      )
    })
  }

  /** The storage, watched. */
  over(storage: Storage.Service): Storage.Service {
    const tag = (outcome: { readonly _tag: string }) => outcome._tag
    return {
      ...storage,
      claim: (request) => {
        this.touched.add(request.lockId)
        return this.called(`claim ${request.lockId} by hold ${request.holdId}`, tag, storage.claim(request))
      },
      renew: (requests) =>
        this.called(
          `renew ${requests.length === 1 ? `${requests[0]!.lockId} of hold ${requests[0]!.holdId}` : `${requests.length} holds`}`,
          (outcomes) => [...new Set(outcomes.map(tag))].join(" and "),
          storage.renew(requests)
        ),
      release: (request) =>
        this.called(`release ${request.lockId} of hold ${request.holdId}`, tag, storage.release(request)),
      revoke: (request) => this.called(`revoke ${request.lockId}`, tag, storage.revoke(request)),
      get: (lockId) => this.called(`get ${lockId}`, tag, storage.get(lockId))
    }
  }

  /** The last calls, each with its answer, one a line. */
  toString(): string {
    return this.calls.length === 0
      ? "it has asked nothing of the storage"
      : this.calls.map(({ answer, text }) => `  ${text}: ${answer}`).join("\n")
  }
}
