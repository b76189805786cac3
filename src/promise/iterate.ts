/** Streams as async iterators. */
import * as Effect from "#effect/Effect"
import * as Exit from "#effect/Exit"
import type { Run } from "#effect/fibers"
import * as Stream from "#effect/Stream"
import { rejection } from "./run.js"

interface Caller<A> {
  readonly resolve: (result: IteratorResult<A, undefined>) => void
  readonly reject: (error: unknown) => void
}

const done: IteratorReturnResult<undefined> = { done: true, value: undefined }

/** One value ahead of whoever asks; whoever asks several times at once is answered in order. */
class Values<A> implements AsyncIterableIterator<A> {
  private readonly callers: Array<Caller<A>> = []
  private ahead: { readonly value: A; readonly taken: () => void } | undefined
  private end: { readonly failure: unknown } | "done" | undefined
  private cancel: (() => void) | undefined
  private isStarted = false

  constructor(
    private readonly run: Run,
    private readonly stream: Stream.Stream<A, unknown>,
    private readonly whenOver: () => void
  ) {}

  start(): this {
    if (this.isStarted) return this
    this.isStarted = true
    const each = (value: A) =>
      Effect.callback<void>((resume) => {
        this.ahead = { value, taken: () => resume(Effect.void) }
        this.serve()
      })
    this.cancel = this.run.callback(Stream.runForEach(this.stream, each), (exit) => {
      this.whenOver()
      this.end ??= Exit.isSuccess(exit) ? "done" : { failure: rejection(exit.cause) }
      this.serve()
    })
    return this
  }

  private serve(): void {
    const { ahead } = this
    if (ahead !== undefined && this.callers.length > 0) {
      this.ahead = undefined
      this.callers.shift()!.resolve({ done: false, value: ahead.value })
      return ahead.taken()
    }
    if (ahead !== undefined || this.end === undefined) return
    for (const { reject, resolve } of this.callers.splice(0)) {
      if (this.end === "done") resolve(done)
      else {
        reject(this.end.failure)
        // It is told once.
        this.end = "done"
      }
    }
  }

  readonly next = (): Promise<IteratorResult<A, undefined>> =>
    new Promise((resolve, reject) => {
      this.callers.push({ resolve, reject })
      this.start()
      this.serve()
    })

  readonly return = (): Promise<IteratorResult<A, undefined>> => {
    this.isStarted = true
    this.end = "done"
    this.ahead = undefined
    this.whenOver()
    this.cancel?.()
    this.serve()
    return Promise.resolve(done)
  };

  [Symbol.asyncIterator](): this {
    return this
  }
}

/** Reads nothing before it is asked for the first value. `whenOver` is called at its end, however it ends. */
export const lazily = <A>(
  run: Run,
  stream: Stream.Stream<A, unknown>,
  whenOver: () => void = () => {}
): AsyncIterableIterator<A> => new Values(run, stream, whenOver)

/** From now on. */
export const eagerly = <A>(
  run: Run,
  stream: Stream.Stream<A, unknown>,
  whenOver: () => void
): AsyncIterableIterator<A> => new Values(run, stream, whenOver).start()
