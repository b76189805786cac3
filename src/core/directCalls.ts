/** Calls to a storage that answers by a callback. */
import type * as Effect from "#effect/Effect"
import * as Exit from "#effect/Exit"
import type { StorageError } from "../LockError.js"

type Answer<A> = Effect.Effect<A, StorageError>

export type Ask<A> = (millis: number, done: (answer: Answer<A>) => void) => void

interface Call {
  readonly operation: string
  readonly stop: () => void
}

export class DirectCalls {
  private readonly open = new Set<Call>()

  constructor(
    /** Runs what must be done before the answer is known; returns what stops it. */
    private readonly work: <A>(
      operation: string,
      self: Answer<A>,
      limit: number,
      ended: (exit: Exit.Exit<A, StorageError>) => void
    ) => () => void,
    /** Of one that was stopped. */
    private readonly unanswered: (operation: string, limit: number) => StorageError,
    private readonly onIdle: () => void
  ) {}

  get size(): number {
    return this.open.size
  }

  /** Starts one, which may have ended when this returns; the function stops it, if it is still open then. `ended` is called once. */
  start<A>(
    operation: string,
    ask: Ask<A>,
    limit: number,
    ended: (exit: Exit.Exit<A, StorageError>) => void
  ): () => void {
    let inner: (() => void) | undefined
    let over = false
    let answered = false
    const end = (exit: Exit.Exit<A, StorageError>) => {
      if (over) return
      over = true
      this.open.delete(call)
      ended(exit)
      if (this.open.size === 0) this.onIdle()
    }
    const stop = () => (inner === undefined ? end(Exit.fail(this.unanswered(operation, limit))) : inner())
    const call: Call = { operation, stop }
    this.open.add(call)
    const began = performance.now()
    try {
      ask(limit, (answer) => {
        if (answered || over) return
        answered = true
        if (Exit.isExit(answer)) return end(answer as Exit.Exit<A, StorageError>)
        inner = this.work(operation, answer, Math.max(1, limit - (performance.now() - began)), end)
      })
    } catch (defect) {
      end(Exit.die(defect))
    }
    return stop
  }

  /** Of one operation, or all. */
  stop(operation: string | undefined): void {
    for (const call of Array.from(this.open)) if (operation === undefined || call.operation === operation) call.stop()
  }
}
