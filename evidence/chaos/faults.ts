/** What goes wrong, by name. */
import * as Effect from "#effect/Effect"
import type * as Semaphore from "#effect/Semaphore"
import type { Rng } from "../simulate/random.js"
import type { Proxy } from "../../test/harness/proxy.js"
import type { Fleet, Place } from "./fleet.js"
import type { Log } from "./log.js"
import type { Running } from "./storages.js"

export interface World {
  readonly fleet: Fleet
  readonly running: Running
  readonly judges: "server" | "client"
  readonly faketime: boolean
  readonly lease: number
  readonly margin: number
  readonly rng: Rng
  readonly log: Log
  readonly now: () => number
  /** The server is one: what is done to it is done one after another. */
  readonly server: Semaphore.Semaphore
}

/** What was done, when it began and ended, and the process it was done to, if it was one. */
export interface Injected {
  readonly kind: string
  readonly from: number
  readonly until: number
  readonly p: string | undefined
}

export interface Kind {
  readonly name: string
  /** Done when the fault is over. `undefined`: there was nobody to do it to. */
  readonly inject: Effect.Effect<Injected | undefined>
}

const millis = (value: number) => Effect.sleep(`${Math.round(value)} millis`)

export const kindsOf = (world: World): ReadonlyArray<Kind> => {
  const { fleet, lease, log, margin, now, rng, running } = world
  const say = (p: string, text: string) => log.write({ type: "fault", t: now(), p, text })
  const beyondLease = () => rng.between(1.1, 1.8) * lease

  /** Somebody who is well, rather one who has a lock than one who has none. */
  const victim = (fits: (place: Place) => boolean = () => true): Place | undefined => {
    const well = fleet.places.filter((place) => place.ready && !place.hurt && fits(place))
    const holders = well.filter(({ holding }) => holding > 0)
    return holders.length > 0 && rng.chance(0.85) ? rng.pick(holders) : well.length > 0 ? rng.pick(well) : undefined
  }
  const toOne = (
    name: string,
    act: (place: Place) => Effect.Effect<unknown>,
    fits?: (place: Place) => boolean
  ): Kind => ({
    name,
    inject: Effect.suspend(() => {
      const place = victim(fits)
      if (place === undefined) return Effect.succeed(undefined)
      place.hurt = true
      const from = now()
      const p = place.name
      say(p, name)
      return act(place).pipe(
        Effect.map(() => ({ kind: name, from, until: now(), p })),
        Effect.ensuring(Effect.sync(() => (place.hurt = false)))
      )
    })
  })
  const worker: ReadonlyArray<Kind> = [
    toOne("worker killed", (place) =>
      Effect.sync(() => {
        place.killedAt = now()
        place.child.kill("SIGKILL")
      }).pipe(
        Effect.andThen(
          Effect.repeat(
            Effect.delay(
              Effect.sync(() => place.killedAt === undefined),
              10
            ),
            { until: (replaced) => replaced }
          )
        )
      )
    ),
    toOne("worker stopped beyond its lease", (place) =>
      Effect.suspend(() => {
        const t = now()
        const { child, name } = place
        child.kill("SIGSTOP")
        return millis(beyondLease()).pipe(
          Effect.ensuring(
            Effect.sync(() => {
              child.kill("SIGCONT")
              log.write({ type: "stop", t, p: name, until: now(), suspended: false })
            })
          )
        )
      })
    ),
    toOne("event loop blocked beyond the lease", (place) =>
      Effect.suspend(() => {
        const t = now()
        const time = beyondLease()
        fleet.tell(place, { type: "block", millis: time })
        log.write({ type: "stop", t, p: place.name, until: t + time, suspended: false })
        return millis(time)
      })
    )
  ]

  // Where the worker's clock is the one that judges leases, the margin must cover what any two of them differ by; else it may be anything.
  const offsets =
    world.judges === "client" ? [-0.4 * margin, 0.4 * margin, 0] : [3_600_000, -3_600_000, 2 * lease, -2 * lease, 0]
  const clocks: ReadonlyArray<Kind> = world.faketime
    ? [
        toOne(
          "wall clock of a worker set",
          (place) =>
            Effect.sync(() => fleet.setClock(place, rng.pick(offsets.filter((offset) => offset !== place.offset)))),
          ({ clockFile }) => clockFile !== undefined
        )
      ]
    : []

  /** To the network of one worker, or of all. */
  const network = (
    name: string,
    act: (proxy: Proxy) => Effect.Effect<void>,
    heal: ((proxy: Proxy) => Effect.Effect<void>) | undefined,
    time: () => number
  ): Kind => ({
    name,
    inject: Effect.suspend(() => {
      const hit = rng.chance(0.4) ? fleet.places : [rng.pick(fleet.places)]
      const proxies = hit.map(({ proxy }) => proxy!)
      const from = now()
      say("network", `${name}, for ${hit.length === 1 ? hit[0]!.name : "all"}`)
      return Effect.forEach(proxies, act).pipe(
        Effect.andThen(millis(time())),
        Effect.ensuring(heal === undefined ? Effect.void : Effect.forEach(proxies, heal)),
        Effect.map(() => ({ kind: name, from, until: now(), p: undefined }))
      )
    })
  })
  const short = () => rng.between(0.2, 0.9) * lease
  const long = () => rng.between(0.3, 1.8) * lease
  const networks: ReadonlyArray<Kind> =
    running.address === undefined
      ? []
      : [
          network(
            "network slow",
            (proxy) => proxy.delay(rng.between(0.05, 0.5) * lease),
            (proxy) => proxy.delay(0),
            long
          ),
          network(
            "connections cut",
            (proxy) => proxy.cut,
            undefined,
            () => 0
          ),
          network(
            "connections refused",
            (proxy) => Effect.andThen(proxy.refuse(true), proxy.cut),
            (proxy) => proxy.refuse(false),
            short
          ),
          network(
            "connections hang, then go on",
            (proxy) => proxy.hang(true),
            (proxy) => proxy.hang(false),
            long
          ),
          network(
            "connections half open",
            (proxy) => proxy.halfOpen,
            undefined,
            () => 0
          ),
          network(
            "replies swallowed",
            (proxy) => proxy.swallowReplies(true),
            (proxy) => proxy.swallowReplies(false),
            long
          ),
          network(
            "a reply dropped",
            (proxy) => proxy.dropNextReply,
            undefined,
            () => 0
          )
        ]

  const toServer = (name: string, act: Effect.Effect<unknown>): Kind => ({
    name,
    inject: world.server.withPermits(1)(
      Effect.suspend(() => {
        const from = now()
        say("storage", name)
        return Effect.map(act, () => ({ kind: name, from, until: now(), p: undefined }))
      })
    )
  })
  const { killConnections, server } = running
  const servers: ReadonlyArray<Kind> = [
    ...(server === undefined
      ? []
      : [
          toServer(
            "server stopped",
            Effect.suspend(() => server.suspend.pipe(Effect.andThen(millis(long())), Effect.ensuring(server.resume)))
          ),
          toServer(
            "server killed and started",
            Effect.suspend(() => server.kill.pipe(Effect.andThen(millis(short())), Effect.ensuring(server.start)))
          )
        ]),
    ...(killConnections === undefined ? [] : [toServer("connections killed by an administrator", killConnections)]),
    ...Object.entries(running.own).map(([name, act]) =>
      toServer(
        name,
        Effect.suspend(() => act(lease))
      )
    )
  ]
  return [...worker, ...clocks, ...networks, ...servers]
}
