/** What was measured, a line for each. */
import type { Contention } from "./contention.js"
import type { Requests } from "./cycles.js"
import type { HandOff } from "./handOff.js"
import { type Failure, holding } from "./names.js"
import type { Comparison, Measured } from "./rounds.js"
import type { RoundTrips } from "./roundTrips.js"
import type { Profile } from "./profiles.js"
import { owners, type Owner, sum } from "./parts.js"
import type { Stall } from "./stall.js"
import type { Spread } from "./statistics.js"
import type { Memory, Refresh } from "./upkeep.js"

export const times = (value: number): string => `${value.toFixed(2)} ×`
/** Three figures are as many as any of this is good for. */
export const short = (value: number): string =>
  value >= 100 ? value.toFixed(0) : value >= 1 || value === 0 ? value.toFixed(1) : value.toFixed(2)
export const ratio = ({ ratio }: Measured): string =>
  `${times(ratio.median)} (${ratio.p25.toFixed(2)}–${ratio.p75.toFixed(2)})`
export const millis = (value: number): string => `${value.toFixed(1)} ms`
export const within = ({ p25, p75 }: Spread): string => `${short(p25)}–${short(p75)}`
export const figure = (spread: Spread | undefined): string =>
  spread === undefined ? "not counted" : `${short(spread.median)} (${within(spread)})`

export const line = (comparison: Comparison): string => {
  const [floor, ...ours] = comparison.contenders
  return (
    `${comparison.storage.padEnd(15)} ${comparison.scenario.padEnd(48)} ${floor!.name} ${short(floor!.micros.median)} µs` +
    ours.map((measured) => `, ${measured.name} ${short(measured.micros.median)} µs = ${ratio(measured)}`).join("")
  )
}

export const roundTripLine = ({ expected, operation, roundTrips, statements }: RoundTrips): string =>
  `${operation}: ${statements ?? "?"} statements, ${roundTrips} round trips (expected ${expected})`

export const requestsLine = ({ name, roundTrips, statements, storage }: Requests): string =>
  `requests, ${storage}, ${name}: ${statements ?? "?"} statements, ${roundTrips ?? "?"} round trips`

export const handOffLine = ({ millis: spread, name, storage }: HandOff): string =>
  `hand-off, ${storage}, ${name}: median ${millis(spread.median)} (${within(spread)}), p95 ${millis(spread.p95)}`

export const contentionLine = (found: Contention): string =>
  `contention, ${found.storage}, ${found.name}: ${short(found.perSecond.median)} a second, ${found.fewest.median} to ${found.most.median} of each worker, ` +
  `longest wait ${millis(found.longestWaitMillis.median)}, requests each ${figure(found.requestsPerAcquisition)}, overlaps ${found.overlaps}`

export const refreshLine = ({ cpuMillis, holds, serverMillis, statements, storage }: Refresh): string =>
  `refresh, ${storage}, ${holds} holds: per interval ${figure(statements)} statements, ${short(cpuMillis.median)} ms of CPU, server ${figure(serverMillis)} ms`

export const memoryLine = ({ bytesPerHold, bytesPerWaiter, name, storage }: Memory): string =>
  `memory, ${storage}, ${name}: ${bytesPerHold.toFixed(0)} bytes a hold` +
  (bytesPerWaiter === undefined ? "" : `, ${bytesPerWaiter.toFixed(0)} a waiter`)

export const stallTold = ({ millis: spread, mute, runs, told }: Stall): string =>
  mute
    ? "has no signal"
    : spread === undefined
      ? "not told"
      : `${short(spread.median)} ms (${within(spread)})${told < runs ? `, in ${told} of ${runs} runs` : ""}`

export const stallLine = (stall: Stall): string => `stall, ${stall.storage}, ${stall.name}: ${stallTold(stall)}`

export const ownerNames: Readonly<Record<Owner, string>> = {
  waiting: "waiting",
  driver: "driver",
  node: "Node",
  effect: "Effect",
  storage: "adapter",
  lock: "lock",
  garbage: "garbage collection",
  bench: "benchmark"
}

export const profileLine = ({ name, parts, scenario, storage }: Profile): string =>
  `profile, ${storage}, ${scenario}, ${name}: ${short(sum(parts))} ${scenario === holding ? "bytes" : "µs"}: ` +
  owners.map((owner) => `${ownerNames[owner]} ${short(parts[owner])}`).join(", ")

export const failureLine = ({ reason, scenario, storage, subject }: Failure): string =>
  `NOT MEASURED ${storage}, ${scenario === "all" ? "" : `${scenario}, `}${subject === "all" ? "" : `${subject}: `}${reason}`
