/**
 * What is logged of a layer's holds, for whoever looks after the program. In the context of the layer, so with its loggers; and at once, since a fiber that is to write it
 * later may never run. However many holds are in trouble, what has one cause goes in few lines.
 */
import type * as Clock from "effect/Clock"
import * as Effect from "#effect/Effect"
import { wallMillis } from "#effect/clocks"
import type * as fibers from "#effect/fibers"
import type { LostReason, StorageError } from "../LockError.js"
import type { Timers } from "./timers.js"
import type { Claimant } from "./claimant.js"
import { lostBecause } from "../common/lostBecause.js"
import type { Timeline } from "./timeline.js"

/** A hold, or a claim that may have become one. */
export interface Subject {
  readonly claimant: Claimant
  readonly token?: number | undefined
  /** Milliseconds since the Unix epoch, by the storage's clock where it is known. */
  readonly leaseEnd: number
}

/** Each line names so many locks, and counts the others. */
const mostNamed = 5

/** After a line, more of the same gathers for so long, and for twice as long after each that follows at once. In milliseconds. */
const firstPause = 1_000
const longestPause = 60_000

const described = ({ claimant, leaseEnd, token }: Subject): string => {
  const { lockId, ownerId, ownerLabel } = claimant
  const details = [
    ...(token === undefined ? [] : [`token ${token}`]),
    `lease until ${new Date(leaseEnd).toISOString()}`
  ]
  return `${JSON.stringify(lockId)} of ${ownerLabel === "" ? `owner ${JSON.stringify(ownerId)}` : ownerLabel} (${details.join(", ")})`
}

const logs = { Debug: Effect.logDebug, Info: Effect.logInfo, Warning: Effect.logWarning }

type Level = keyof typeof logs

/** What is said of some locks in one line. */
interface Line {
  readonly level: Level
  readonly what: string
  readonly reason: string
  readonly why: string | undefined
  readonly count: number
  /** Some of them. */
  readonly subjects: ReadonlyArray<Subject>
}

const write = ({ count, level, reason, subjects, what, why }: Line): Effect.Effect<void> => {
  const others = count > subjects.length ? `, and ${count - subjects.length} more` : ""
  const first = subjects[0]!
  const annotations =
    count === 1
      ? {
          lockId: first.claimant.lockId,
          ownerId: first.claimant.ownerId,
          ...(first.token === undefined ? {} : { token: first.token })
        }
      : { lockId: subjects.map(({ claimant }) => claimant.lockId).join(", "), locks: count }
  return logs[level](
    `effect-storage-lock: ${what}: ${subjects.map(described).join(", ")}${others}${why === undefined ? "" : `. ${why}`}`
  ).pipe(
    Effect.annotateLogs({
      ...annotations,
      ownerLabel: first.claimant.ownerLabel,
      leaseEnd: new Date(Math.min(...subjects.map(({ leaseEnd }) => leaseEnd))).toISOString(),
      reason
    })
  )
}

/** Lines of one kind and cause. */
class Topic {
  private subjects: Array<Subject> = []
  private count = 0
  private why: string | undefined
  private isDue = false
  private nextAt = Number.NEGATIVE_INFINITY
  private pause = firstPause

  constructor(
    private readonly logs: Logs,
    private readonly level: Level,
    private readonly what: string,
    private readonly reason: string
  ) {}

  add(subject: Subject, why: string | undefined): void {
    if (this.count++ === 0) this.why = why
    if (this.subjects.length < mostNamed) this.subjects.push(subject)
    if (this.isDue) return
    this.isDue = true
    const now = this.logs.timeline.now()
    if (now < this.nextAt) {
      this.pause = Math.min(2 * this.pause, longestPause)
      this.logs.timers.set(this.nextAt, () => this.flush())
      return
    }
    this.pause = firstPause
    // All that come to this at one moment go in one line.
    queueMicrotask(() => this.flush())
  }

  flush(): void {
    if (!this.isDue) return
    this.isDue = false
    this.nextAt = this.logs.timeline.now() + this.pause
    const { count, level, reason, subjects, what, why } = this
    this.subjects = []
    this.count = 0
    this.logs.log(write({ level, what, reason, why, count, subjects }))
  }
}

const told = (error: StorageError): string => `${error.reason}: ${error.message}`

export class Logs {
  private readonly topics = new Map<string, Topic>()

  /** `run`: with the loggers that are to be told. */
  constructor(
    private readonly run: fibers.Run,
    private readonly clock: Clock.Clock,
    readonly timers: Timers,
    readonly timeline: Timeline
  ) {}

  /** Milliseconds since the Unix epoch, by this process. */
  wallClock(): number {
    return wallMillis(this.clock)
  }

  log(line: Effect.Effect<void>): void {
    this.run.fork(line)
  }

  /** One call to renew some holds has failed. It will be tried again. */
  renewalFailed(subjects: ReadonlyArray<Subject>, error: StorageError): void {
    if (subjects.length === 0) return
    this.log(
      write({
        level: "Debug",
        what: "a renewal failed",
        reason: error.reason,
        why: told(error),
        count: subjects.length,
        subjects: subjects.slice(0, mostNamed)
      })
    )
  }

  /** Half of what was left of a lease when it should have been renewed has passed. */
  endangered(subject: Subject, error: StorageError | undefined): void {
    this.inTrouble(
      "not renewed, and half of the time that was left has passed: lost before the lease ends, unless a renewal gets through",
      subject,
      error,
      "The storage has not answered yet"
    )
  }

  recovered(subject: Subject): void {
    this.say("Info", "renewed again", "Recovered", subject, undefined)
  }

  lost(subject: Subject, reason: LostReason, detail: string | undefined): void {
    // A program that closes its layer knows.
    const why = detail === undefined ? undefined : detail.charAt(0).toUpperCase() + detail.slice(1)
    this.say(reason === "Closed" ? "Info" : "Warning", `lost, since ${lostBecause[reason]}`, reason, subject, why)
  }

  /** It is over for its program, and its release fails. */
  unreleased(subject: Subject, error: StorageError | undefined): void {
    this.inTrouble(
      "not given back, and may keep others out until the lease ends",
      subject,
      error,
      "The storage has not answered"
    )
  }

  released(subject: Subject): void {
    this.say("Info", "given back after all", "Recovered", subject, undefined)
  }

  /** What still gathers is said now. */
  flush(): void {
    for (const topic of this.topics.values()) topic.flush()
  }

  /** `silence` is said where there is no error. */
  private inTrouble(what: string, subject: Subject, error: StorageError | undefined, silence: string): void {
    this.say("Warning", what, error?.reason ?? "Timeout", subject, error === undefined ? silence : told(error))
  }

  private say(level: Level, what: string, reason: string, subject: Subject, why: string | undefined): void {
    const key = `${what}, ${reason}`
    let topic = this.topics.get(key)
    if (topic === undefined) this.topics.set(key, (topic = new Topic(this, level, what, reason)))
    topic.add(subject, why)
  }
}
