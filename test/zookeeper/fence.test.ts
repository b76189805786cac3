/**
 * A write whose outcome was lost, on three servers of ZooKeeper: whether it can still land once the session has gone on to another server, and what becomes of it there. Each server is told what to do
 * at one chosen moment, so nothing here waits for luck.
 */
import { assert, it } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import * as Fiber from "#effect/Fiber"
import * as Option from "#effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schedule from "#effect/Schedule"
import type { Answer, Connection, Server } from "../../src/backends/zookeeper/client/connection.js"
import * as connection from "../../src/backends/zookeeper/client/connection.js"
import { Failure } from "../../src/backends/zookeeper/client/failure.js"
import * as protocol from "../../src/backends/zookeeper/client/protocol.js"
import * as ZookeeperStorage from "../../src/backends/zookeeper/ZookeeperStorage.js"
import * as Proxy from "../harness/proxy.js"
import { describeServer } from "../harness/server.js"
import * as Zookeeper from "../harness/zookeeper.js"
import * as Process from "../support/process.js"

const anyone = [{ permissions: 31, scheme: "world", id: "anyone" }]
const stubborn = Schedule.max([Schedule.spaced("100 millis"), Schedule.recurs(600)])

type Opened = { readonly link: Connection; readonly isNew: boolean }

/** A connection by hand, so that one that is left stays open until the test ends it. */
const open = (server: Server, session: protocol.Session = protocol.noSession) =>
  Effect.acquireRelease(
    Effect.callback<Opened, Failure>((resume) => {
      const begin = (session: protocol.Session, isNew: boolean): ((failure: Failure) => void) =>
        connection.open(
          { server, tls: undefined, credentials: [], session, timeout: 120_000 },
          {
            opened: (link) => resume(Effect.succeed({ link, isNew })),
            failed: (failure) => resume(Effect.fail(failure)),
            expired: () => (giveUp = begin(protocol.noSession, true))
          }
        )
      let giveUp = begin(session, session.id === 0n)
      return Effect.sync(() => giveUp(new Failure("closed", "by the test")))
    }),
    ({ link }) => Effect.sync(() => link.abandon(new Failure("closed", "by the test")))
  )

/** Sends at once, and gives what waits for the answers. */
const send = (link: Connection, ...requests: ReadonlyArray<protocol.Request<any>>) =>
  Effect.sync(() => {
    const answered = new Promise<ReadonlyArray<Answer<any>>>((resolve) => {
      const answers: Array<Answer<any>> = []
      let missing = requests.length
      link.send(requests, (index, answer) => {
        answers[index] = answer
        if (--missing === 0) resolve(answers)
      })
    })
    return Effect.promise(() => answered)
  })

const ask = (link: Connection, ...requests: ReadonlyArray<protocol.Request<any>>) =>
  Effect.flatten(send(link, ...requests))

const codeOf = (answer: Answer<unknown> | undefined) => (answer?._tag === "Refused" ? answer.code : answer?._tag)

const dataOf = (answer: Answer<any> | undefined): string => {
  assert.strictEqual(answer?._tag, "Done")
  return answer?._tag === "Done" ? (answer.value as protocol.Node).data.toString() : ""
}

/** Any server that serves. */
const reachable = (servers: ReadonlyArray<Server>, session?: protocol.Session) =>
  Effect.firstSuccessOf(servers.map((server) => open(server, session).pipe(Effect.timeout("2 seconds")))).pipe(
    Effect.retry(stubborn)
  )

const roles = (members: ReadonlyArray<Zookeeper.Member>) =>
  Effect.gen(function* () {
    const found = yield* Effect.forEach(members, (member) => Effect.map(member.role, (role) => ({ member, role })))
    const leader = found.find(({ role }) => role === "leader")?.member
    const followers = found.flatMap(({ member, role }) => (role === "follower" ? [member] : []))
    return leader === undefined || followers.length !== 2
      ? yield* Effect.fail("not all of them serve")
      : { leader, followers: followers as unknown as readonly [Zookeeper.Member, Zookeeper.Member] }
  }).pipe(Effect.retry(stubborn), Effect.orDie)

/** The node, at version 0. */
const fresh = (server: Zookeeper.ZookeeperServer) =>
  Effect.gen(function* () {
    const path = yield* server.freshRoot
    const { link } = yield* open(server)
    assert.strictEqual(codeOf((yield* ask(link, protocol.create(path, Buffer.from("before"), anyone)))[0]), "Done")
    return path
  })

const late = (path: string) => protocol.setData(path, Buffer.from("late"), 0)

/** What all of them say, once the changes of before have come to each. */
const everywhere = (members: ReadonlyArray<Server>, path: string) =>
  Effect.forEach(members, (member) =>
    Effect.scoped(
      Effect.gen(function* () {
        const { link } = yield* reachable([member])
        const answers = yield* ask(link, protocol.sync(path), protocol.getData(path))
        return dataOf(answers[1])
      })
    )
  )

await describeServer("a session that goes on to another server", Zookeeper.cluster(), (members) => {
  it.live("leaves no write behind that can land: one that waits at a follower is refused for the session's move", () =>
    Effect.gen(function* () {
      const { followers, leader } = yield* roles(members)
      for (const next of [followers[1], leader]) {
        const path = yield* fresh(leader)
        const { link } = yield* open(followers[0])
        assert.deepStrictEqual((yield* ask(link, protocol.sync(path))).map(codeOf), ["Done"])
        const answer = yield* Effect.acquireUseRelease(
          followers[0].suspend,
          () =>
            Effect.gen(function* () {
              const writing = yield* send(link, late(path))
              const moved = yield* open(next, link.session)
              assert.isFalse(moved.isNew)
              const settled = yield* ask(moved.link, protocol.sync(path), protocol.getData(path))
              assert.strictEqual(dataOf(settled[1]), "before")
              return writing
            }),
          () => followers[0].resume
        ).pipe(Effect.flatten)
        // It was cut off for too short a time to be left behind: the leader is asked, refuses it, and the server ends the connection.
        assert.include(["Lost", protocol.code.sessionMoved], codeOf(answer[0]))
        assert.deepStrictEqual(yield* everywhere(members, path), ["before", "before", "before"])
      }
    })
  )

  it.live("one that waits at the leader, or on its way to it, dies with the leader's time", () =>
    Effect.gen(function* () {
      for (const at of ["the leader", "a follower"]) {
        const { followers, leader } = yield* roles(members)
        const path = yield* fresh(leader)
        const first = at === "the leader" ? leader : followers[0]
        const { link } = yield* open(first)
        assert.deepStrictEqual((yield* ask(link, protocol.sync(path))).map(codeOf), ["Done"])
        const answer = yield* Effect.acquireUseRelease(
          leader.suspend,
          () =>
            Effect.gen(function* () {
              const writing = yield* send(link, late(path))
              const moved = yield* reachable(followers, link.session)
              assert.isFalse(moved.isNew)
              const settled = yield* ask(moved.link, protocol.sync(path), protocol.getData(path))
              assert.strictEqual(dataOf(settled[1]), "before")
              return writing
            }),
          () => leader.resume
        ).pipe(Effect.flatten)
        assert.include(["Lost", protocol.code.sessionMoved, protocol.code.sessionExpired], codeOf(answer[0]))
        yield* roles(members)
        assert.deepStrictEqual(yield* everywhere(members, path), ["before", "before", "before"], at)
      }
    })
  )
})

/** A server that stands still for a while stays one of them, however busy the machine is. */
const patient = Zookeeper.cluster("localSessionsEnabled=true", "syncLimit=100", "maxSessionTimeout=120000")

// A session that only its server knows: another one has never heard of it, and starts over.
await describeServer("sessions that are local to a server", patient, (members) => {
  it.live("are no fence: a write that was left behind lands if the node is still as it expects, and never else", () =>
    Effect.gen(function* () {
      const { followers, leader } = yield* roles(members)
      for (const [meanwhile, told, stands] of [
        [undefined, "Done", "late"],
        ["changed", protocol.code.badVersion, "changed"]
      ] as const) {
        const path = yield* fresh(leader)
        const { link } = yield* open(followers[0])
        assert.deepStrictEqual((yield* ask(link, protocol.sync(path))).map(codeOf), ["Done"])
        const answer = yield* Effect.acquireUseRelease(
          followers[0].suspend,
          () =>
            Effect.gen(function* () {
              const writing = yield* send(link, late(path))
              const moved = yield* open(followers[1], link.session)
              assert.isTrue(moved.isNew)
              const settled = yield* ask(moved.link, protocol.sync(path), protocol.getData(path))
              assert.strictEqual(dataOf(settled[1]), "before")
              if (meanwhile !== undefined)
                assert.deepStrictEqual(
                  (yield* ask(moved.link, protocol.setData(path, Buffer.from(meanwhile), 0))).map(codeOf),
                  ["Done"]
                )
              return writing
            }),
          () => followers[0].resume
        ).pipe(Effect.flatten)
        assert.deepStrictEqual(answer.map(codeOf), [told])
        assert.deepStrictEqual(yield* everywhere(members, path), [stands, stands, stands])
      }
    })
  )

  it.live(
    "a claim that lands after its caller has left is given back; the lock of whoever came in between is not harmed",
    () =>
      Effect.gen(function* () {
        const { followers, leader } = yield* roles(members)
        const [first, second] = followers
        const settings = { leaseExpireAfter: "5 minutes" } as const
        for (const isTaken of [false, true]) {
          const root = yield* leader.freshRoot
          const open = (servers: ReadonlyArray<Server>) =>
            ZookeeperStorage.make({
              url: Redacted.make(`zookeeper://${servers.map(({ host, port }) => `${host}:${port}`).join()}`),
              root,
              operationTimeout: "2 seconds"
            })
          const to = { host: "127.0.0.1" }
          const [slow, other] = yield* Effect.all(
            [first, second].map((member) => Proxy.make(member, { protocol: Zookeeper.protocol }))
          ).pipe(Effect.map((found) => found as [Proxy.Proxy, Proxy.Proxy]))
          const ours = yield* open([slow, other].map(({ port }) => ({ ...to, port })))
          const { locks } = yield* Process.make(ours.storage, settings)
          yield* Effect.scoped(locks.acquire("a", "ada"))
          const theirs = yield* open([leader])
          const theirLocks = (yield* Process.make(theirs.storage, settings)).locks
          const before = Option.getOrThrow(yield* theirs.versioned.get("a"))
          yield* slow.resetRoundTrips
          const taken = yield* Effect.acquireUseRelease(
            first.suspend,
            () =>
              Effect.gen(function* () {
                const leaving = yield* Effect.forkChild(Effect.scoped(locks.acquire("a", "ada")))
                yield* Effect.repeat(Effect.delay(Effect.sync(slow.roundTrips), "5 millis"), { until: (n) => n > 0 })
                yield* Fiber.interrupt(leaving)
                // It is looked for at the other server, and is not there yet.
                yield* Effect.repeat(Effect.delay(Effect.sync(other.roundTrips), "5 millis"), { until: (n) => n > 3 })
                assert.strictEqual(Option.getOrThrow(yield* theirs.versioned.get("a")).version, before.version)
                return isTaken ? yield* theirLocks.acquire("a", "bob") : undefined
              }),
            () => first.resume
          )
          if (taken === undefined) {
            // The late claim, and its release.
            const after = yield* Effect.repeat(
              Effect.delay(Effect.map(theirs.versioned.get("a"), Option.getOrThrow), "20 millis"),
              { until: ({ version }) => version > before.version + 1 }
            )
            assert.deepStrictEqual(after.holds, [])
            assert.isAbove(after.token, before.token)
            yield* Effect.scoped(theirLocks.acquire("a", "bob"))
          } else {
            // Behind whatever waited at the server.
            const { link } = yield* reachable([first])
            yield* ask(link, protocol.sync(root))
            yield* taken.check
            yield* taken.renew
            yield* taken.release
            const after = Option.getOrThrow(yield* theirs.versioned.get("a"))
            // Claimed, renewed, released: by nobody else.
            assert.deepStrictEqual([after.version, after.token], [before.version + 3, taken.token])
          }
        }
      }).pipe(Effect.scoped)
  )
})
