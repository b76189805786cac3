/**
 * The servers, tried in turn, and one session that goes from connection to connection.
 *
 * A server that takes the session over has asked the leader, which from then on refuses whatever the server before sends for it. So what an earlier connection has left behind is applied before what
 * follows, or never. *Nothing relies on that for safety*: where sessions are local to a server (`localSessionsEnabled`), no other knows them, and what was left behind can land later. It then is one of
 * the changes that race, each of which names the version that it expects. What the session buys is that a late claim, which has to be given back, is not to be expected.
 */
import type * as Tls from "node:tls"
import * as Effect from "#effect/Effect"
import * as Exit from "#effect/Exit"
import * as fibers from "#effect/fibers"
import type * as Scope from "#effect/Scope"
import type { Answer, Connection, Server } from "./connection.js"
import * as connection from "./connection.js"
import { Failure } from "./failure.js"
import * as protocol from "./protocol.js"

/** Where the servers are, and who we are there. */
export interface Reach {
  readonly servers: ReadonlyArray<Server>
  readonly tls: Tls.SecureContextOptions | undefined
  readonly credentials: ReadonlyArray<protocol.Credentials>
}

export type Send = (
  requests: ReadonlyArray<protocol.Request<any>>,
  until: number
) => Effect.Effect<ReadonlyArray<Answer<any>>>

export interface Options<E> {
  /** As of now. `until` is a moment of `performance.now()`. */
  readonly reach: (until: number) => Effect.Effect<Reach, E>
  readonly sessionTimeout: number
  /** Looks at each new connection before anything else is sent on it; another server is tried if it fails. */
  readonly confirm: (send: Send, until: number) => Effect.Effect<void, E>
  /** Whether another server may serve where this failed. */
  readonly passes: (error: E | Failure) => boolean
}

export interface Ensemble<E> {
  /**
   * All requests in one flight, in this order, each with its answer. It fails only if there was no connection, so that nothing was sent. At `until` what has no answer is `Lost`, or `Unsent`; a
   * connection on which nothing came meanwhile is given up.
   */
  readonly send: (
    requests: ReadonlyArray<protocol.Request<any>>,
    until: number
  ) => Effect.Effect<ReadonlyArray<Answer<any>>, E | Failure>
  /** A connection with a session of its own, until it ends, which fails. */
  readonly listen: (
    begin: (send: Send, until: number) => Effect.Effect<void, E>,
    on: (event: protocol.Event, send: Send) => void,
    patience: number
  ) => Effect.Effect<never, E | Failure>
}

const late = (millis: number) =>
  new Failure("silent", `there was no answer within ${Math.max(0, Math.round(millis))} ms`)

const closedByUs = () => new Failure("closed", "the client is closed")

/** On one connection. What is interrupted, or late, and has not left, never does. */
const sendOn =
  (link: Connection): Send =>
  (requests, until) =>
    Effect.callback((resume) => {
      if (requests.length === 0) return void resume(Effect.succeed([]))
      const answers: Array<Answer<any> | undefined> = requests.map(() => undefined)
      const began = performance.now()
      let missing = requests.length
      const timer = setTimeout(
        () => {
          const left = takeBack()
          const failure = late(performance.now() - began)
          // Before anybody goes on, who would send more on it.
          if (link.heard() < began) link.abandon(failure)
          resume(
            Effect.succeed(
              answers.map((answer, i): Answer<any> => answer ?? { _tag: left[i] === true ? "Lost" : "Unsent", failure })
            )
          )
        },
        Math.max(0, until - began)
      )
      const takeBack = link.send(requests, (index, answer) => {
        answers[index] = answer
        if (--missing > 0) return
        clearTimeout(timer)
        resume(Effect.succeed(answers as ReadonlyArray<Answer<any>>))
      })
      return Effect.sync(() => {
        clearTimeout(timer)
        takeBack()
      })
    })

export const make = <E>(options: Options<E>): Effect.Effect<Ensemble<E>, never, Scope.Scope> =>
  Effect.gen(function* () {
    const run = yield* fibers.run
    let isClosed = false
    let link: Connection | undefined
    let session = protocol.noSession
    let turn = 0
    let attempt: { readonly waiters: Set<(exit: Exit.Exit<Connection, E | Failure>) => void> } | undefined
    const active = new Set<() => void>()

    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        isClosed = true
        link?.close()
        link = undefined
        for (const end of [...active]) end()
      })
    )

    /** One server, in at most so long. */
    const dial = (
      reach: Reach,
      server: Server,
      from: protocol.Session,
      until: number,
      more: Pick<connection.Listener, "ended" | "event">
    ): Effect.Effect<Connection, Failure> =>
      Effect.callback((resume) => {
        if (isClosed) return void resume(Effect.fail(closedByUs()))
        const began = performance.now()
        const over = () => {
          clearTimeout(timer)
          active.delete(stop)
        }
        const begin = (session: protocol.Session): ((failure: Failure) => void) =>
          connection.open(
            { server, tls: reach.tls, credentials: reach.credentials, session, timeout: options.sessionTimeout },
            {
              ...more,
              opened: (link) => {
                over()
                resume(Effect.succeed(link))
              },
              failed: (failure) => {
                over()
                resume(Effect.fail(failure))
              },
              expired: () => {
                if (session.id === 0n) {
                  over()
                  resume(Effect.fail(new Failure("odd", "the server gives no session")))
                } else giveUp = begin(protocol.noSession)
              }
            }
          )
        const stop = () => giveUp(closedByUs())
        const timer = setTimeout(() => giveUp(late(performance.now() - began)), Math.max(0, until - began))
        active.add(stop)
        let giveUp = begin(from)
        return Effect.sync(stop)
      })

    /** Tries the servers, each for its share of the time. */
    const seek = <A>(
      until: number,
      each: (reach: Reach, server: Server, until: number) => Effect.Effect<A, E | Failure>
    ): Effect.Effect<A, E | Failure> =>
      Effect.flatMap(options.reach(until), (reach) => {
        const among = (left: number, worst: E | Failure | undefined): Effect.Effect<A, E | Failure> =>
          Effect.suspend(() => {
            const now = performance.now()
            const server = reach.servers[turn % reach.servers.length]!
            return Effect.catch(each(reach, server, now + (until - now) / left), (error) => {
              turn = (turn + 1) % reach.servers.length
              // What may pass is told before what is as it is.
              const told = worst === undefined || options.passes(error) ? error : worst
              return left > 1 && !isClosed ? among(left - 1, told) : Effect.fail(told)
            })
          })
        return among(reach.servers.length, undefined)
      })

    const connect = (until: number): Effect.Effect<Connection, E | Failure> =>
      seek(until, (reach, server, until) =>
        Effect.flatMap(
          dial(reach, server, session, until, {
            ended: () => {
              link = undefined
            }
          }),
          (opened) => {
            return Effect.matchEffect(options.confirm(sendOn(opened), until), {
              onFailure: (error) => {
                // The session of a server that is not the right one is no fence for ours.
                if (opened.session.id === session.id)
                  opened.abandon(new Failure("lost", "the server was left for another"))
                else opened.close()
                return Effect.fail(error)
              },
              onSuccess: () => {
                session = opened.session
                if (isClosed) {
                  opened.close()
                  return Effect.fail(closedByUs())
                }
                if (!opened.isOpen()) return Effect.fail(new Failure("lost", "the connection has ended"))
                link = opened
                return Effect.succeed(opened)
              }
            })
          }
        )
      )

    /** Many who want a connection at once wait for the same one. It is made by nobody's fiber, so that no interruption takes it from the others. */
    const joined = (until: number): Effect.Effect<Connection, E | Failure> =>
      Effect.callback((resume) => {
        const began = performance.now()
        const done = (exit: Exit.Exit<Connection, E | Failure>) => {
          clearTimeout(timer)
          resume(exit)
        }
        const timer = setTimeout(
          () => {
            attempt?.waiters.delete(done)
            resume(Effect.fail(late(performance.now() - began)))
          },
          Math.max(0, until - began)
        )
        if (attempt === undefined) {
          const mine = { waiters: new Set([done]) }
          attempt = mine
          const stop = () => cancel()
          active.add(stop)
          const cancel = run.callback(connect(until), (exit) => {
            active.delete(stop)
            if (attempt === mine) attempt = undefined
            for (const each of [...mine.waiters])
              each(isClosed && Exit.isFailure(exit) ? Exit.fail(closedByUs()) : exit)
          })
        } else attempt.waiters.add(done)
        return Effect.sync(() => {
          clearTimeout(timer)
          attempt?.waiters.delete(done)
        })
      })

    const connected = (until: number): Effect.Effect<Connection, E | Failure> =>
      Effect.suspend(() => {
        if (isClosed) return Effect.fail(closedByUs())
        if (link?.isOpen() === true) return Effect.succeed(link)
        // One that began before may have had less time, or have known less.
        return attempt === undefined
          ? joined(until)
          : Effect.catch(joined(until), (error) =>
              performance.now() < until && !isClosed && attempt === undefined ? joined(until) : Effect.fail(error)
            )
      })

    return {
      send: (requests, until) => Effect.flatMap(connected(until), (link) => sendOn(link)(requests, until)),
      listen: (begin, on, patience) =>
        Effect.suspend(() => {
          const until = performance.now() + patience
          let ended: (failure: Failure) => void = () => {}
          let opened: Connection | undefined
          const close = () => opened?.close()
          const over = Effect.callback<never, Failure>((resume) => {
            ended = (failure) => resume(Effect.fail(isClosed ? closedByUs() : failure))
            if (opened?.isOpen() === false) ended(new Failure("lost", "the connection has ended"))
          })
          return seek(until, (reach, server, until) =>
            Effect.flatMap(
              dial(reach, server, protocol.noSession, until, {
                ended: (failure) => ended(failure),
                event: (event) => on(event, sendOn(opened!))
              }),
              (link) => {
                opened = link
                active.add(close)
                return Effect.catch(begin(sendOn(link), until), (error) => {
                  close()
                  active.delete(close)
                  return Effect.fail(error)
                })
              }
            )
          ).pipe(
            Effect.andThen(over),
            Effect.ensuring(
              Effect.sync(() => {
                active.delete(close)
                close()
              })
            )
          )
        })
    }
  })
