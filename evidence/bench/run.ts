/** All that is measured, one storage after the other. What fails is told, and the rest goes on. */
import * as Cause from "#effect/Cause"
import * as Effect from "#effect/Effect"
import type * as Scope from "#effect/Scope"
import * as Postgres from "../../test/harness/postgres.js"
import * as comparables from "./comparables.js"
import * as contention from "./contention.js"
import * as cycles from "./cycles.js"
import * as handOff from "./handOff.js"
import * as profiles from "./profiles.js"
import { type Failure, reasonOf } from "./names.js"
import type { Options, ScenarioName } from "./options.js"
import * as report from "./lines.js"
import * as roundTrips from "./roundTrips.js"
import type { Comparison } from "./rounds.js"
import * as scenarios from "./scenarios.js"
import * as stall from "./stall.js"
import type { Server, StorageSubject } from "./subjects/Subject.js"
import { table } from "./subjects/table.js"
import * as upkeep from "./upkeep.js"

export interface Measurements {
  /** `date`: of the latest run that measured it. */
  readonly settings: ReadonlyArray<{ readonly name: string; readonly setting: string; readonly date?: string }>
  /** Statement by statement, against the bare driver. */
  readonly comparisons: ReadonlyArray<Comparison>
  /** Against other libraries. */
  readonly cycles: ReadonlyArray<Comparison>
  readonly requests: ReadonlyArray<cycles.Requests>
  readonly roundTrips: roundTrips.RoundTripReport | undefined
  readonly handOffs: ReadonlyArray<handOff.HandOff>
  readonly contentions: ReadonlyArray<contention.Contention>
  readonly refreshes: ReadonlyArray<upkeep.Refresh>
  readonly memories: ReadonlyArray<upkeep.Memory>
  readonly stalls: ReadonlyArray<stall.Stall>
  readonly profiles: ReadonlyArray<profiles.Profile>
  readonly failures: ReadonlyArray<Failure>
}

/** One line that is painted over on a terminal; elsewhere, nothing until something is finished. */
const progress = (text: string): void => {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text.slice(0, process.stderr.columns - 1)}`)
}
const finished = (text: string): void => {
  process.stderr.write(process.stderr.isTTY ? `\r\x1b[K${text}\n` : `${text}\n`)
}

export const run = (options: Options) =>
  Effect.gen(function* () {
    const settings: Array<{ readonly name: string; readonly setting: string }> = []
    const comparisons: Array<Comparison> = []
    const measuredCycles: Array<Comparison> = []
    const requests: Array<cycles.Requests> = []
    const handOffs: Array<handOff.HandOff> = []
    const contentions: Array<contention.Contention> = []
    const refreshes: Array<upkeep.Refresh> = []
    const memories: Array<upkeep.Memory> = []
    const stalls: Array<stall.Stall> = []
    const measuredProfiles: Array<profiles.Profile> = []
    const failures: Array<Failure> = []
    let counted: roundTrips.RoundTripReport | undefined

    const failed = (failure: Failure): void => {
      failures.push(failure)
      finished(report.failureLine(failure))
    }
    const wants = (scenario: ScenarioName): boolean => options.scenarios.includes(scenario)
    const wantsStatements = wants("cycle") && options.ratios === undefined
    const take =
      <A>(into: Array<A>, line: (one: A) => string) =>
      (found: ReadonlyArray<A>): void => {
        for (const one of found) {
          into.push(one)
          finished(line(one))
        }
      }
    /** Whatever happens in it. */
    const scenario = <A, E>(
      storage: string,
      name: string,
      effect: Effect.Effect<A, E, Scope.Scope>,
      use: (found: A) => void
    ) =>
      Effect.scoped(effect).pipe(
        Effect.map(use),
        Effect.catchCause((cause) =>
          Cause.hasInterruptsOnly(cause)
            ? Effect.interrupt
            : Effect.sync(() =>
                failed({ storage, scenario: name, subject: "all", reason: reasonOf(Cause.squash(cause)) })
              )
        )
      )
    const compared = <E>(name: string, subject: Effect.Effect<comparables.Subject, E, Scope.Scope>) =>
      scenario(
        name,
        "statement by statement",
        Effect.gen(function* () {
          const made = yield* subject
          if (made.setting !== "") settings.push({ name: made.name, setting: made.setting })
          const measured = scenarios.run(made, options.plan, progress, (comparison) =>
            finished(report.line(comparison))
          )
          comparisons.push(...(yield* Effect.promise(() => measured)))
        }),
        () => {}
      )

    const profiled = <E>(name: string, subject: Effect.Effect<comparables.Subject, E, Scope.Scope>) =>
      scenario(
        name,
        "profile",
        Effect.gen(function* () {
          const made = yield* subject
          for (const concurrent of [false, true]) {
            const contenders = scenarios.both(made, concurrent)
            const found = profiles.ofCycles(name, concurrent, contenders, options.profilePlan, progress)
            take(measuredProfiles, report.profileLine)(yield* Effect.promise(() => found))
          }
        }),
        () => {}
      )

    /** What is known of some storages alone. */
    const special = (subject: StorageSubject, server: Server) =>
      Effect.gen(function* () {
        if (subject.name === "sqlite" && wantsStatements) {
          yield* compared("SQLite", comparables.sqlite("full"))
          yield* compared("SQLite", comparables.sqlite("normal"))
        }
        if (subject.name === "sqlite" && wants("profile")) {
          yield* profiled("SQLite, normal", comparables.sqlite("normal"))
        }
        if (subject.name !== "postgres") return
        if (wantsStatements) yield* compared("PostgreSQL", comparables.postgres(server, options.poolSize))
        if (!wants("round-trips")) return
        const own = Effect.flatMap(Postgres.own, (postgres) =>
          roundTrips.measure(postgres, options.quick ? 20 : 100, progress)
        )
        yield* scenario("PostgreSQL", "round trips", own, (found) => {
          counted = found
          found.operations.forEach((row) => finished(report.roundTripLine(row)))
        })
      })

    const storage = (subject: StorageSubject) =>
      scenario(
        subject.title,
        "all",
        Effect.gen(function* () {
          const server = yield* subject.server
          settings.push({ name: subject.title, setting: server.setting })
          for (const { name, reason } of options.peers ? (subject.absent ?? []) : []) {
            failed({ storage: subject.title, scenario: "all", subject: name, reason })
          }
          yield* special(subject, server)
          const title = subject.title
          const { peers, peersPlan, quick, runs } = options
          const cyclesOf = cycles.measure(
            subject,
            server,
            peersPlan,
            peers,
            progress,
            (one) => finished(report.line(one)),
            failed
          )
          if (wants("cycle")) yield* scenario(title, "cycle", cyclesOf, (found) => void measuredCycles.push(...found))
          if (wants("round-trips")) {
            const found = cycles.requests(subject, server, quick ? 20 : 100, peers, progress, failed)
            yield* scenario(title, "requests", found, take(requests, report.requestsLine))
          }
          if (wants("hand-off")) {
            const found = handOff.measure(subject, server, options.handOffs, peers, progress, failed)
            yield* scenario(title, "hand-off", found, take(handOffs, report.handOffLine))
          }
          if (wants("contention")) {
            const found = contention.measure(subject, server, options, peers, progress, failed)
            yield* scenario(title, "contention", found, take(contentions, report.contentionLine))
          }
          if (wants("refresh")) {
            yield* scenario(
              title,
              "refresh",
              upkeep.measureRefresh(subject, server, quick, progress, failed),
              take(refreshes, report.refreshLine)
            )
          }
          if (wants("memory")) {
            yield* scenario(
              title,
              "memory",
              upkeep.measureMemory(subject, server, peers, quick, progress, failed),
              take(memories, report.memoryLine)
            )
          }
          if (wants("stall")) {
            yield* scenario(
              title,
              "stall",
              stall.measure(subject, server, runs, peers, progress, failed),
              take(stalls, report.stallLine)
            )
          }
          if (wants("profile")) {
            yield* scenario(
              title,
              "profile",
              profiles.measure(subject, server, quick, options.profilePlan, progress, failed),
              take(measuredProfiles, report.profileLine)
            )
          }
        }),
        () => {}
      )

    if (wants("cycle")) {
      const warm = (subject: comparables.Subject) =>
        Effect.promise(() => scenarios.warmUp(subject, options.plan.settle, progress))
      yield* Effect.scoped(Effect.flatMap(comparables.memory, warm))
      if (wantsStatements && options.storages.includes("memory")) yield* compared("memory", comparables.memory)
    }
    if (wants("profile") && options.storages.includes("memory")) yield* profiled("memory", comparables.memory)
    for (const subject of table) if (options.storages.includes(subject.name)) yield* storage(subject)

    return {
      settings,
      comparisons,
      cycles: measuredCycles,
      requests,
      roundTrips: counted,
      handOffs,
      contentions,
      refreshes,
      memories,
      stalls,
      profiles: measuredProfiles,
      failures
    } satisfies Measurements
  })
