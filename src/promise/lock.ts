/** A hold, as a program with promises has it. */
import * as Effect from "#effect/Effect"
import * as Exit from "#effect/Exit"
import type { Run } from "#effect/fibers"
import * as Cause from "#effect/Cause"
import * as Duration from "#effect/Duration"
import * as Option from "#effect/Option"
import * as Result from "#effect/Result"
import type { LockLost } from "../LockError.js"
import type * as core from "../core/api.js"
import type * as errors from "./errors.js"
import * as plain from "./plain.js"
import { promise } from "./run.js"
import type { LockInformation } from "./information.js"
import type { Lock, LockSet } from "./types.js"

interface Watch {
  readonly signal: AbortSignal
  readonly lost: Promise<never>
  /** Whoever is to be told. */
  readonly forget: () => void
}

/** One hold, or several as one. */
export abstract class Held<L extends core.Lock | core.LockSet> implements AsyncDisposable {
  private watch: Watch | undefined
  /** Once it is known. */
  private loss: errors.LockLost | undefined

  constructor(
    protected readonly run: Run,
    protected readonly lock: L,
    private readonly giveBack: Effect.Effect<void>
  ) {}

  get signal(): AbortSignal {
    return this.watched().signal
  }
  get lost(): Promise<never> {
    return this.watched().lost
  }

  readonly check = (): number => {
    const left = this.lock.unsafeRemainingMillis()
    const over = left > 0 ? undefined : this.over()
    if (over !== undefined) throw plain.lost(over)
    return left
  }

  /** Why it is not held any more, if that is so. */
  private over(): LockLost | undefined {
    const left = this.run.sync(Effect.result(this.lock.check))
    return Result.isFailure(left) ? left.failure : undefined
  }

  readonly renew = (): Promise<number> =>
    promise(this.run, Effect.map(this.lock.renew, Duration.toMillis), { signal: undefined })

  readonly release = (): Promise<void> =>
    promise(
      this.run,
      Effect.tap(this.giveBack, () => Effect.sync(() => this.forget())),
      { signal: undefined }
    )

  async [Symbol.asyncDispose](): Promise<void> {
    return this.release()
  }

  /** Nobody is told of a loss from now on. */
  forget(): void {
    this.watch?.forget()
  }

  /** What a body has thrown: after a loss that it was told of, it is the loss that counts. */
  withLoss(error: unknown): unknown {
    const { loss } = this
    return loss === undefined || loss === error ? error : plain.lostWith(loss, { cause: error })
  }

  /** Begun when somebody asks: most holds live and die with nobody asking. */
  private watched(): Watch {
    if (this.watch !== undefined) return this.watch
    const controller = new AbortController()
    let reject: (error: errors.LockLost) => void = () => {}
    const lost = new Promise<never>((_, tell) => (reject = tell))
    // It is told by the signal, too: nobody has to listen to both.
    lost.catch(() => {})
    const tell = (error: LockLost) => {
      this.loss = plain.lost(error)
      reject(this.loss)
      controller.abort(this.loss)
    }
    const over = this.over()
    if (over !== undefined) {
      if (over.reason !== "Released") tell(over)
      return (this.watch = { signal: controller.signal, lost, forget: () => {} })
    }
    const forget = this.run.callback(this.lock.lost, (exit) => {
      const error = Exit.isFailure(exit) ? Option.getOrUndefined(Cause.findErrorOption(exit.cause)) : undefined
      if (error !== undefined) tell(error)
    })
    return (this.watch = { signal: controller.signal, lost, forget })
  }
}

export class HeldLock extends Held<core.Lock> implements Lock {
  /** What it is a hold of. */
  get own(): core.Lock {
    return this.lock
  }
  get lockId(): string {
    return this.lock.lockId
  }
  get ownerId(): string {
    return this.lock.ownerId
  }
  get token(): number {
    return this.lock.token
  }
  get info(): LockInformation {
    return plain.information(this.run.sync(this.lock.info))
  }
}

export class HeldLocks extends Held<core.LockSet> implements LockSet {
  readonly locks: ReadonlyArray<Lock>

  constructor(run: Run, set: core.LockSet, giveBack: Effect.Effect<void>) {
    super(run, set, giveBack)
    this.locks = set.locks.map((lock) => new HeldLock(run, lock, lock.release))
  }
}
