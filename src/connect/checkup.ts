/** Looks at the storage of a URL, without its locks: what is set wrongly there, its clock, and how far away it is. */
import * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import { type Check, type Finding, type Look, type Patient, unchecked } from "../common/checkup.js"
import { type ConnectError, type Options, patient, type Url } from "./connect.js"

/** How long one check may take. */
const longest = Duration.seconds(10)

const pings = 9

/** More than people overlook, in milliseconds: locks go by one clock, and what people read of them by another. */
const farOff = 1_500

/** From where on it has to be thought of. In milliseconds. */
const slow = 100
const tooSlow = 1_000

export interface Seen {
  readonly found: ReadonlyArray<Look>
  /** What was looked at and is well. */
  readonly well: ReadonlyArray<string>
  /** The median of some round trips, in milliseconds. */
  readonly latency: number | undefined
  readonly hasClock: boolean
}

interface Ping {
  readonly millis: number
  /** How much later the storage's clock is than ours. */
  readonly ahead: number | undefined
}

const bounded = ({ look, name }: Check): Effect.Effect<ReadonlyArray<Look>> =>
  Effect.catch(
    Effect.timeoutOrElse(look, {
      duration: longest,
      orElse: () => Effect.succeed([unchecked(name, `no answer within ${Duration.toSeconds(longest)} s`)])
    }),
    (error) => Effect.succeed([unchecked(name, error.message)])
  )

const once = ({ ping }: Patient, now: () => number) =>
  Effect.suspend(() => {
    const [sent, start] = [now(), performance.now()]
    return Effect.map(ping, (clock): Ping => {
      const millis = performance.now() - start
      return { millis, ahead: clock === undefined ? undefined : clock - (sent + millis / 2) }
    })
  })

/** The quickest answer says most of the clock. */
const clocks = (all: ReadonlyArray<Ping>): ReadonlyArray<Finding> => {
  const best = all.reduce((a, b) => (b.millis < a.millis ? b : a))
  const { ahead } = best
  if (ahead === undefined || Math.abs(ahead) - best.millis / 2 <= farOff) return []
  return [
    {
      check: "clock",
      severity: "warning",
      wrong: `this machine's clock is ${Math.round(Math.abs(ahead))} ms ${ahead > 0 ? "behind" : "ahead of"} the storage's`,
      leads:
        "leases go by the storage's clock alone, but logs, and what people read of the locks, do not fit together; one of the two is wrong, and may be set all at once",
      cure: "let both machines follow NTP: timedatectl set-ntp true"
    }
  ]
}

const distance = (latency: number): ReadonlyArray<Finding> =>
  latency < slow
    ? []
    : [
        {
          check: "latency",
          severity: latency < tooSlow ? "note" : "warning",
          wrong: `a round trip takes ${Math.round(latency)} ms (the median of ${pings})`,
          leads: "an acquire takes that long at least, and a short lease may end before it is renewed",
          cure: `run the program nearer to the storage, or give leases of ${Math.ceil((latency * 20) / 1000)} s and longer`
        }
      ]

const median = (values: ReadonlyArray<number>): number =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]!

/** Nothing, where nobody has written down what to look at. `now`: this machine's clock. */
export const examine = (url: Url, options: Options, now: () => number): Effect.Effect<Seen | undefined, ConnectError> =>
  Effect.scoped(
    Effect.gen(function* () {
      const there = yield* patient(url, options)
      if (there === undefined) return undefined
      const found: Array<Look> = []
      const well: Array<string> = []
      for (const check of there.checks) {
        const looks = yield* bounded(check)
        found.push(...looks)
        if (looks.length === 0) well.push(check.name)
      }
      const measured: Array<Ping> = []
      const measure = Effect.forEach(
        Array.from({ length: pings }),
        () => Effect.map(once(there, now), (ping) => measured.push(ping)),
        { discard: true }
      )
      found.push(...(yield* bounded({ name: "latency", look: Effect.as(measure, []) })))
      if (measured.length === 0) return { found, well, latency: undefined, hasClock: false }
      const latency = median(measured.map(({ millis }) => millis))
      return {
        found: [...found, ...clocks(measured), ...distance(latency)],
        well,
        latency,
        hasClock: measured.some(({ ahead }) => ahead !== undefined)
      }
    })
  )
