/** What a layer does, in metrics: counted as it happens; gauges are read. */
import * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import type { Labels, Make, Reading } from "#effect/metrics"
import type * as Scope from "#effect/Scope"
import { LostReason } from "../LockError.js"
import type { LockEvent } from "../LockEvent.js"
import type { Core } from "./core.js"
import type { Change, Elections } from "./elections.js"
import type { Untimed } from "./events.js"

/** Upper bounds in seconds. */
const short = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5]
const long = [...short, 10, 30, 60, 300, 1_800, 3_600]

/** In place of the ids that are not declared. */
const others = "other"

const sampled = Duration.seconds(1)

/** Of layers with the same labels. */
const sum = (values: ReadonlyArray<number>) => values.reduce((a, b) => a + b, 0)
const most = (values: ReadonlyArray<number>) => Math.max(0, ...values)
/** Of those that hold something. */
const least = (values: ReadonlyArray<number>) => {
  const value = Math.min(...values)
  return value === Number.POSITIVE_INFINITY ? 0 : value
}

/** The metrics themselves: they are the same whatever the layer. */
const define = ({ counter, gauge, histogram }: Make) => ({
  holds: gauge("storage_lock_holds", "Locks that this process holds", sum),
  acquiring: gauge("storage_lock_acquiring", "Acquires of this process under way, those that wait among them", sum),
  queue: gauge(
    "storage_lock_longest_queue",
    "Acquires of this process that wait for the lock that most wait for",
    most
  ),
  leastLease: gauge(
    "storage_lock_least_remaining_seconds",
    "How long the hold that ends first is still surely held; 0 if none is held",
    least
  ),
  acquires: counter("storage_lock_acquires_total", "Acquires and tries that have ended, by their outcome"),
  lost: counter("storage_lock_lost_total", "Holds that were lost, by the reason"),
  released: counter("storage_lock_released_total", "Holds that were given back"),
  renewals: counter("storage_lock_renewals_total", "Renewals of holds, by their outcome"),
  late: counter("storage_lock_late_total", "Holds whose renewal was late by half of the time that was left"),
  wait: histogram("storage_lock_wait_seconds", "From the acquire to the hold", long),
  hold: histogram("storage_lock_hold_seconds", "From the hold to its release or loss", long),
  requests: counter("storage_lock_storage_requests_total", "Calls to the storage, by operation and outcome"),
  latency: histogram("storage_lock_storage_request_seconds", "How long calls to the storage take", short),
  leads: gauge("storage_lock_leader", "Whether this process leads, by election: 1 or 0", most),
  terms: counter("storage_lock_terms_total", "Terms of leadership that have begun"),
  term: histogram("storage_lock_term_seconds", "From the begin of a term to its end", long),
  hints: counter("storage_lock_wake_ups_total", "Wake-ups that the storage has sent")
})

const outcomes: Partial<Record<LockEvent["_tag"], string>> = {
  Acquired: "acquired",
  Refused: "refused",
  TimedOut: "timed_out",
  AcquireFailed: "failed",
  Interrupted: "interrupted"
}

/** What is given back in order is not lost. */
const lostReasons = LostReason.literals.filter((reason) => reason !== "Released")

/** One for each name, made once. */
const by = <A>(make: (name: string) => A): ((name: string) => A) => {
  const made = new Map<string, A>()
  return (name) => {
    let one = made.get(name)
    if (one === undefined) made.set(name, (one = make(name)))
    return one
  }
}

/** Elections are few, and each is worth a series. */
const electionsTo = (metrics: ReturnType<typeof define>, layer: Labels, elections: Elections) => {
  const gauges: Array<Reading> = []
  const of = by((lockId) => {
    const labels = { ...layer, lock_id: lockId }
    const leads = metrics.leads(labels, () => (elections.leads(lockId) ? 1 : 0))
    gauges.push(leads)
    return { leads, terms: metrics.terms(labels), term: metrics.term(labels) }
  })
  const end = elections.listen(({ led, lockId }: Change): void => {
    const election = of(lockId)
    election.leads.changed()
    if (led === undefined) election.terms(1)
    else election.term(led / 1_000)
  })
  return () => {
    end()
    for (const gauge of gauges) gauge.forget()
  }
}

/** In milliseconds; `Infinity`, if nothing is held. */
const leastLeft = ({ holds, timeline }: Core): number => {
  let deadline = Number.POSITIVE_INFINITY
  for (const hold of holds) deadline = Math.min(deadline, hold.deadline)
  return Math.max(0, deadline - timeline.now())
}

const changed = (gauges: ReadonlyArray<Reading>): void => {
  for (const gauge of gauges) gauge.changed()
}

/** From when it has ended until the scope closes. */
export const start = (
  core: Core,
  elections: Elections,
  make: Make,
  lockIds: ReadonlyArray<string>
): Effect.Effect<void, never, Scope.Scope> => {
  const metrics = define(make)
  const layer = {
    storage: core.storage.guarantees.name,
    ...(core.namespace === undefined ? {} : { namespace: core.namespace })
  }
  const declared = new Set(lockIds)
  const ofId = by((lockId) => {
    const labels = declared.size === 0 ? layer : { ...layer, lock_id: lockId }
    return {
      acquires: by((outcome) => metrics.acquires({ ...labels, outcome })),
      lost: by((reason) => metrics.lost({ ...labels, reason })),
      released: metrics.released(labels),
      late: metrics.late(labels),
      wait: metrics.wait(labels),
      hold: metrics.hold(labels)
    }
  })
  /** Labels are few whatever the ids. */
  const of = (lockId: string) => ofId(declared.has(lockId) ? lockId : others)
  const renewals = by((outcome) => metrics.renewals({ ...layer, outcome }))
  const requests = by((operation) => ({
    outcomes: by((outcome) => metrics.requests({ ...layer, operation, outcome })),
    latency: metrics.latency({ ...layer, operation })
  }))
  const hints = metrics.hints(layer)
  const seconds = (span: Duration.Duration) => Duration.toMillis(span) / 1_000

  /** To whoever watches, a series that begins at 1 has not increased: the first loss of a process would raise no alarm. */
  const begin = () => {
    for (const lockId of [...declared, others]) {
      const lock = of(lockId)
      for (const reason of lostReasons) lock.lost(reason)(0)
      for (const outcome of Object.values(outcomes)) lock.acquires(outcome)(0)
      lock.released(0)
      lock.late(0)
    }
    for (const outcome of ["renewed", "failed"]) renewals(outcome)(0)
  }

  const heard = (event: Untimed<LockEvent>) => {
    if (!("lockId" in event)) return
    const lock = of(event.lockId)
    const outcome = outcomes[event._tag]
    if (outcome !== undefined) lock.acquires(outcome)(1)
    switch (event._tag) {
      case "Acquired":
        return lock.wait(seconds(event.waited))
      case "Released":
        lock.released(1)
        return lock.hold(seconds(event.held))
      case "Lost":
        lock.lost(event.reason)(1)
        return lock.hold(seconds(event.held))
      case "Renewed":
        return renewals("renewed")(1)
      case "RenewalFailed":
        return renewals("failed")(1)
      case "Late":
        return lock.late(1)
      default:
        return undefined
    }
  }

  const { events } = core
  const listen = () => {
    const changing = [metrics.holds(layer, () => core.holds.size), metrics.acquiring(layer, () => core.acquiring)]
    const gauges = [
      ...changing,
      metrics.queue(layer, () => core.queues.longest()),
      metrics.leastLease(layer, () => leastLeft(core) / 1_000)
    ]
    const forget = [
      events.listenUntimed(heard),
      events.listenToCalls((operation, failure, millis) => {
        const { latency, outcomes } = requests(operation)
        outcomes(failure === undefined ? "ok" : failure.reason)(1)
        latency(millis / 1_000)
      }),
      events.listenToHints(() => hints(1)),
      ...(make.pulls ? [] : [events.listenUntimed(() => changed(changing))]),
      electionsTo(metrics, layer, elections),
      ...gauges.map(({ forget }) => forget)
    ]
    return { forget, gauges }
  }
  const listening = Effect.acquireRelease(Effect.sync(listen), ({ forget }) =>
    Effect.sync(() => {
      for (const one of forget) one()
    })
  )
  const sampling = (gauges: ReadonlyArray<Reading>) =>
    Effect.forever(
      Effect.andThen(
        Effect.sync(() => changed(gauges)),
        Effect.sleep(sampled)
      )
    )
  return Effect.andThen(
    Effect.sync(begin),
    Effect.flatMap(listening, ({ gauges }) =>
      make.pulls ? Effect.void : Effect.asVoid(Effect.forkScoped(sampling(gauges)))
    )
  )
}
