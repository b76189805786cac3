/** The pool of the SQL backends, and what an operation does on its connections, with connections that are made by hand. */
import { assert, describe, it } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import * as Result from "#effect/Result"
import * as fibers from "#effect/fibers"
import * as errors from "../../src/backends/sql/errors.js"
import type { Answer } from "../../src/backends/sql/executor.js"
import { farewell } from "../../src/backends/sql/farewell.js"
import { OwnPool } from "../../src/backends/sql/ownPool.js"
import * as poolExecutor from "../../src/backends/sql/poolExecutor.js"
import * as sessions from "../../src/backends/sql/sessions.js"

const wait = (millis: number) => Effect.promise(() => new Promise<void>((resolve) => setTimeout(resolve, millis)))

class Connection {
  readonly listeners: Array<() => void> = []
  state: "open" | "ended" | "destroyed" = "open"
  gone: () => void = () => {}
  constructor(readonly name: string) {}
  on(event: "error", listener: () => void) {
    assert.strictEqual(event, "error")
    this.listeners.push(listener)
  }
}

/** A pool whose connections open, and end, when the test says so. */
const pool = (size: number) => {
  const openings: Array<{ done: (error: unknown, connection?: Connection) => void; aborted: boolean }> = []
  const watched: Array<() => void> = []
  const made = new OwnPool<Connection>(
    {
      open: (done) => {
        const opening = { done, aborted: false }
        openings.push(opening)
        return () => {
          opening.aborted = true
          done(new Error("given up"))
        }
      },
      watch: (_connection, gone) => void watched.push(gone),
      end: (connection, gone) => {
        connection.state = "ended"
        connection.gone = gone
      },
      destroy: (connection) => {
        connection.state = "destroyed"
      }
    },
    size
  )
  const got: Array<string> = []
  const connections: Array<Connection> = []
  return {
    pool: made,
    openings,
    watched,
    got,
    connections,
    take: (name: string, isWanted = () => true) =>
      made.take(isWanted, (error, connection, openedAt) => {
        got.push(`${name}: ${connection?.name ?? (error instanceof Error ? error.message : String(error))}`)
        if (connection !== undefined) assert.isNumber(openedAt)
      }),
    open: (at: number, name: string) => {
      const connection = new Connection(name)
      connections.push(connection)
      openings[at]!.done(undefined, connection)
      return connection
    }
  }
}

describe("the pool", () => {
  it("opens as many connections as are waited for, and not more than its size", () => {
    const { got, open, openings, pool: made, take } = pool(2)
    for (const name of ["a", "b", "c"]) take(name)
    assert.lengthOf(openings, 2)
    const one = open(0, "one")
    open(1, "two")
    assert.deepStrictEqual(got, ["a: one", "b: two"])
    made.give(one)
    assert.deepStrictEqual(got, ["a: one", "b: two", "c: one"])
    made.give(one)
    take("d")
    assert.lengthOf(openings, 2)
    assert.deepStrictEqual(got.at(-1), "d: one")
  })

  it("gives the connection that answered last", () => {
    const { got, open, pool: made, take } = pool(2)
    take("a")
    take("b")
    const [one, two] = [open(0, "one"), open(1, "two")]
    made.give(two)
    made.give(one)
    take("c")
    take("d")
    assert.deepStrictEqual(got.slice(2), ["c: one", "d: two"])
  })

  it("gives none to those who do not want one any more", () => {
    const { got, open, take } = pool(1)
    let isWanted = true
    take("a", () => isWanted)
    take("b", () => isWanted)
    take("c")
    isWanted = false
    open(0, "one")
    assert.deepStrictEqual(got, ["c: one"])
  })

  it("tells the first who waits why none could be opened, and opens another for the next", () => {
    const { got, openings, take } = pool(1)
    take("a")
    take("b")
    openings[0]!.done(new Error("refused"))
    assert.deepStrictEqual(got, ["a: refused"])
    assert.lengthOf(openings, 2)
    openings[1]!.done(new Error("refused, too"))
    assert.deepStrictEqual(got, ["a: refused", "b: refused, too"])
    assert.lengthOf(openings, 2)
  })

  it("gives the place of a connection that is dropped, or ended by itself, to another, once", () => {
    const { got, open, openings, pool: made, take, watched } = pool(1)
    take("a")
    take("b")
    const one = open(0, "one")
    made.drop(one)
    assert.strictEqual(one.state, "destroyed")
    assert.lengthOf(openings, 2)
    watched[0]!()
    made.drop(one)
    made.give(one)
    assert.lengthOf(openings, 2)
    const two = open(1, "two")
    assert.deepStrictEqual(got, ["a: one", "b: two"])
    made.give(two)
    watched[1]!()
    take("c")
    assert.lengthOf(openings, 3, "one that ended while it was idle is not given")
  })

  it("keeps what is idle when another connection ends", () => {
    const { got, open, pool: made, take, watched } = pool(3)
    for (const name of ["a", "b", "c"]) take(name)
    const [one, two, three] = [open(0, "one"), open(1, "two"), open(2, "three")]
    made.give(one)
    made.give(two)
    made.drop(three)
    watched[1]!()
    take("d")
    assert.strictEqual(got.at(-1), "d: one")
  })

  it("tells nobody of an opening that failed when nobody waits any more", () => {
    const { got, openings, take } = pool(1)
    let isWanted = true
    take("a", () => isWanted)
    isWanted = false
    assert.doesNotThrow(() => openings[0]!.done(new Error("refused")))
    assert.deepStrictEqual(got, [])
    take("b")
    assert.lengthOf(openings, 2)
  })

  it("gives up what has been opened for half a second and longer when somebody has waited in vain", () =>
    Effect.runPromise(
      Effect.gen(function* () {
        const { got, openings, pool: made, take } = pool(2)
        take("a")
        made.onNoConnection(1)
        assert.isFalse(openings[0]!.aborted)
        yield* wait(520)
        take("b")
        made.onNoConnection(1)
        assert.deepStrictEqual(
          openings.map(({ aborted }) => aborted),
          [true, false, false]
        )
        assert.deepStrictEqual(got, [], "who waits is not told of an opening that was given up")
      })
    ))

  it("closes the eldest of its idle connections after a minute, but not the last one", () => {
    const { now } = performance
    let passed = 0
    performance.now = () => now.call(performance) + passed
    try {
      const { open, pool: made, take } = pool(3)
      for (const name of ["a", "b", "c"]) take(name)
      const [one, two, three] = [open(0, "one"), open(1, "two"), open(2, "three")]
      made.give(one)
      passed = 59_000
      made.give(two)
      assert.strictEqual(one.state, "open")
      passed = 61_000
      made.give(three)
      assert.strictEqual(one.state, "ended")
      one.gone()
      made.drop(three)
      passed = 200_000
      take("d", () => false)
      assert.strictEqual(two.state, "open")
    } finally {
      performance.now = now
    }
  })

  it("closes one that does not answer its goodbye after a second, and not one that does", () => {
    const { now } = performance
    const { clearTimeout: clear, setTimeout: set } = globalThis
    const timers = new Map<unknown, readonly [ring: () => void, millis: number]>()
    let passed = 0
    performance.now = () => now.call(performance) + passed
    globalThis.setTimeout = ((ring: () => void, millis: number) => {
      const timer = { unref: () => {} }
      timers.set(timer, [ring, millis])
      return timer
    }) as never
    globalThis.clearTimeout = (timer: unknown) => void timers.delete(timer)
    try {
      const { open, pool: made, take } = pool(3)
      for (const name of ["a", "b", "c"]) take(name)
      const [one, two, three] = [open(0, "one"), open(1, "two"), open(2, "three")]
      made.give(one)
      made.give(two)
      passed = 61_000
      made.give(three)
      assert.strictEqual(one.state, "ended")
      assert.deepStrictEqual(
        Array.from(timers.values(), ([, millis]) => millis),
        [1_000]
      )
      const [[ring]] = Array.from(timers.values()) as [readonly [() => void, number]]
      timers.clear()
      ring()
      assert.strictEqual(one.state, "destroyed")
      // Now this one is the eldest.
      assert.strictEqual(two.state, "ended")
      assert.strictEqual(timers.size, 1)
      two.gone()
      assert.strictEqual(timers.size, 0)
    } finally {
      performance.now = now
      globalThis.setTimeout = set
      globalThis.clearTimeout = clear
    }
  })

  it("closes: says goodbye to those that are idle, refuses those who wait, and waits for those that are out", () =>
    Effect.runPromise(
      Effect.gen(function* () {
        const { got, open, openings, pool: made, take } = pool(2)
        take("a")
        take("b")
        const [one, two] = [open(0, "one"), open(1, "two")]
        take("c")
        made.give(one)
        made.give(one)
        take("d")
        assert.isFalse(made.isClosed())
        const closing = yield* Effect.forkChild(made.close())
        yield* wait(20)
        assert.isTrue(made.isClosed())
        take("e")
        assert.deepStrictEqual(got.slice(2), ["c: one", "d: one", "e: the pool is closed"])
        assert.isUndefined(fibers.exitOf(closing))
        made.give(one)
        made.give(two)
        assert.deepStrictEqual([one.state, two.state], ["destroyed", "destroyed"])
        yield* wait(20)
        assert.isDefined(fibers.exitOf(closing))
        assert.lengthOf(openings, 2)
      })
    ))

  it("closes: what is idle is said goodbye to, and who waits is told", () =>
    Effect.runPromise(
      Effect.gen(function* () {
        const { got, open, openings, pool: made, take } = pool(2)
        take("a")
        const one = open(0, "one")
        made.give(one)
        take("b")
        take("c")
        made.give(one)
        take("d")
        take("e")
        take("f")
        const closing = yield* Effect.forkChild(made.close())
        yield* wait(5)
        assert.includeMembers(got, ["e: the pool is closed", "f: the pool is closed"])
        const late = openings[1] === undefined ? undefined : open(1, "late")
        assert.strictEqual(late?.state, "destroyed", "what opens after the end is closed")
        made.give(one)
        yield* wait(20)
        assert.isDefined(fibers.exitOf(closing))
      })
    ))

  it("closes once the last goodbye is said, and once nothing is being opened", () =>
    Effect.runPromise(
      Effect.gen(function* () {
        const idle = pool(1)
        idle.take("a")
        const one = idle.open(0, "one")
        idle.pool.give(one)
        const parting = yield* Effect.forkChild(idle.pool.close())
        yield* wait(20)
        assert.strictEqual(one.state, "ended")
        assert.isUndefined(fibers.exitOf(parting))
        one.gone()
        yield* wait(20)
        assert.isDefined(fibers.exitOf(parting))

        const opening = pool(1)
        opening.take("a")
        const closing = yield* Effect.forkChild(opening.pool.close())
        yield* wait(20)
        assert.deepStrictEqual(opening.got, ["a: the pool is closed"])
        assert.isUndefined(fibers.exitOf(closing))
        assert.strictEqual(opening.open(0, "one").state, "destroyed")
        yield* wait(20)
        assert.isDefined(fibers.exitOf(closing))
      })
    ))

  it("closes within a second, whatever goes on", () =>
    Effect.runPromise(
      Effect.gen(function* () {
        const { open, openings, pool: made, take } = pool(3)
        take("a")
        take("b")
        const [one, two] = [open(0, "one"), open(1, "two")]
        made.give(one)
        take("c")
        take("d")
        const started = performance.now()
        yield* made.close()
        assert.isAtLeast(performance.now() - started, 900)
        assert.isBelow(performance.now() - started, 5_000)
        assert.isTrue(openings.slice(2).every(({ aborted }) => aborted))
        assert.strictEqual(two.state, "destroyed")
      })
    ))
})

describe("a farewell", () => {
  it("is over at once where there is nobody, and hangs up on nobody", () => {
    const said: Array<string> = []
    Effect.runSync(
      farewell(
        () => said.push("close"),
        () => true,
        () => said.push("hang up")
      )
    )
    assert.deepStrictEqual(said, ["close"])
  })
})

describe("what was given up", () => {
  const setup = (spare: number, stop: number) => {
    const said: Array<string> = []
    const gone = new Map<string, () => void>()
    const made = sessions.make<string>({
      spare,
      stop: (connection, millis) => {
        said.push(`stop ${connection} ${millis}`)
        return stop
      },
      leave: (connection, millis, isGone) => {
        said.push(`leave ${connection} ${millis}`)
        gone.set(connection, isGone)
      },
      drop: (connection) => said.push(`drop ${connection}`)
    })
    return { said, gone, ...made }
  }

  it("is left at the server, as many as there are spare; the others keep their places until one is gone", () => {
    const { gone, giveUp, said } = setup(2, 0)
    for (const name of ["a", "b", "c", "d"]) giveUp(name, 9)
    assert.deepStrictEqual(
      said.filter((line) => line.startsWith("leave")),
      ["leave a 9", "leave b 9"]
    )
    said.length = 0
    gone.get("a")!()
    assert.deepStrictEqual(said, ["leave c 9"])
    gone.get("b")!()
    assert.deepStrictEqual(said, ["leave c 9", "leave d 9"])
    gone.get("c")!()
    gone.get("d")!()
    giveUp("e", 9)
    assert.strictEqual(said.at(-1), "leave e 9")
  })

  it("is dropped if it answers before it is left, and then its turn is another's", () => {
    const { gone, giveUp, said } = setup(1, 0)
    giveUp("a", 9)
    const answered = giveUp("b", 9)
    giveUp("c", 9)
    said.length = 0
    answered()
    assert.deepStrictEqual(said, ["drop b"])
    answered()
    assert.deepStrictEqual(said, ["drop b"], "once")
    gone.get("a")!()
    assert.deepStrictEqual(said, ["drop b", "leave c 9"])
  })

  it("is left by nobody where all that waited have answered", () => {
    const { gone, giveUp, said } = setup(1, 0)
    giveUp("a", 9)
    giveUp("b", 9)()
    said.length = 0
    assert.doesNotThrow(gone.get("a")!)
    assert.deepStrictEqual(said, [])
  })

  it("does nothing more if it answers after it was left", () => {
    const { giveUp, said } = setup(1, 0)
    const answered = giveUp("a", 9)
    said.length = 0
    answered()
    assert.deepStrictEqual(said, [])
  })

  it("has a while to answer that it stopped", () =>
    Effect.runPromise(
      Effect.gen(function* () {
        const { giveUp, said } = setup(5, 10)
        const answered = giveUp("a", 9)
        giveUp("b", 9)
        answered()
        assert.deepStrictEqual(said, ["stop a 9", "stop b 9", "drop a"])
        yield* wait(40)
        assert.deepStrictEqual(said.slice(3), ["leave b 9"])
      })
    ))

  it("a quarter of the call, from 50 ms to half a second", () => {
    assert.deepStrictEqual([40, 400, 4_000].map(sessions.patience), [50, 100, 500])
  })
})

/** An executor whose connections and answers come when the test says so. */
const executor = (more: Partial<poolExecutor.Driver<string, Connection>> = {}, closed = false) => {
  const said: Array<string> = []
  const waiting: Array<{ done: poolExecutor.Taker<Connection>; isWanted: () => boolean }> = []
  const executing: Array<{
    connection: Connection
    left: number
    done: (error: unknown, read?: () => ReadonlyArray<Record<string, unknown>>) => void
  }> = []
  const plain = errors.make("XStorage", "X", "it")
  const made = poolExecutor.make<string, Connection>(
    {
      take: (isWanted, done) => void waiting.push({ done, isWanted }),
      give: (connection) => said.push(`give ${connection.name}`),
      drop: (connection) => said.push(`drop ${connection.name}`),
      isClosed: () => closed,
      onNoConnection: (millis) => said.push(`no connection in ${millis}`)
    },
    {
      width: 3,
      mostTries: 2,
      execute: (connection, _query, _millis, left, done) =>
        void executing.push({ connection, left, done: (error, read = () => [{ a: 1 }]) => done(error, read) }),
      giveUp: (connection) => {
        said.push(`give up ${connection.name}`)
        return () => said.push(`late ${connection.name}`)
      },
      recover: (connection) => said.push(`recover ${connection.name}`),
      keepsConnection: (error) => error === "harmless",
      isWrongServer: (error) => error === "wrong",
      errors: {
        ...plain,
        odd: (operation, cause) => plain.plain(operation, "Unknown", false, "unknown", `odd: ${String(cause)}`),
        fromDriver: (operation, error, phase) =>
          plain.plain(operation, "Connection", true, "no", `${phase}: ${String(error)}`)
      },
      ...more
    }
  )
  const answers: Array<Answer> = []
  return {
    said,
    waiting,
    executing,
    answers,
    width: made.width,
    run: (millis = 5_000) =>
      made.run("claim", { statement: "s", values: [] }, millis, (answer) => void answers.push(answer)),
    told: () =>
      answers.map((answer) =>
        Result.isSuccess(answer) ? answer.success : `${answer.failure.reason}: ${answer.failure.message}`
      )
  }
}

describe("an operation on a pool", () => {
  it("gives its connection back, and then its rows", () => {
    const { executing, run, said, told, waiting, width } = executor()
    assert.strictEqual(width, 3)
    run()
    assert.isTrue(waiting[0]!.isWanted())
    const one = new Connection("one")
    waiting[0]!.done(undefined, one)
    assert.lengthOf(one.listeners, 1)
    assert.isAtMost(executing[0]!.left, 5_000)
    assert.isAbove(executing[0]!.left, 4_000)
    executing[0]!.done(null)
    assert.deepStrictEqual(said, ["give one"])
    assert.deepStrictEqual(told(), [[{ a: 1 }]])
    run()
    waiting[1]!.done(undefined, one)
    assert.lengthOf(one.listeners, 1, "listened to once")
    one.listeners[0]!()
    executing[1]!.done(undefined)
    assert.deepStrictEqual(told()[1], [{ a: 1 }])
  })

  it("fails if there is no connection, or if the layer is closed", () => {
    const open = executor()
    open.run()
    open.waiting[0]!.done("refused")
    assert.include(open.told()[0], "connecting: refused")
    const closed = executor({}, true)
    closed.run()
    closed.waiting[0]!.done("refused")
    assert.include(closed.told()[0], "Closed:")
  })

  it("fails after an error: the connection is kept if it is as good as before, and dropped if not", () => {
    for (const [error, kept] of [
      ["harmless", "recover one"],
      ["fatal", "drop one"]
    ] as const) {
      const { executing, run, said, told, waiting } = executor()
      run()
      waiting[0]!.done(undefined, new Connection("one"))
      executing[0]!.done(error)
      assert.deepStrictEqual(said, [kept])
      assert.include(told()[0], `executing: ${error}`)
      assert.lengthOf(waiting, 1)
    }
  })

  it("drops a connection whose session is not what it was, with an answer or an error", () => {
    const { executing, run, said, told, waiting } = executor({ isFit: () => false })
    run()
    waiting[0]!.done(undefined, new Connection("one"))
    executing[0]!.done(null)
    run()
    waiting[1]!.done(undefined, new Connection("two"))
    executing[1]!.done("harmless")
    assert.deepStrictEqual(said, ["drop one", "drop two"])
    assert.deepStrictEqual(told()[0], [{ a: 1 }])
  })

  it("tries another connection where one leads to the wrong server, but not for ever", () => {
    const { executing, run, said, told, waiting } = executor()
    run()
    for (const [i, name] of ["one", "two", "three"].entries()) {
      waiting[i]!.done(undefined, new Connection(name))
      executing[i]!.done("wrong")
    }
    assert.deepStrictEqual(said, ["drop one", "drop two", "drop three"])
    assert.lengthOf(waiting, 3)
    assert.include(told()[0], "executing: wrong")
    assert.lengthOf(told(), 1)
  })

  it("has no rows where the error says that there is nothing to be done", () => {
    const { executing, run, told, waiting } = executor({ isMiss: (_query, error) => error === "harmless" })
    run()
    waiting[0]!.done(undefined, new Connection("one"))
    executing[0]!.done("harmless")
    run()
    waiting[1]!.done(undefined, new Connection("two"))
    executing[1]!.done("fatal")
    assert.deepStrictEqual(told()[0], [])
    assert.include(told()[1], "executing: fatal")
  })

  it("fails where the answer cannot be read, or the driver throws", () => {
    const { executing, run, said, told, waiting } = executor()
    run()
    waiting[0]!.done(undefined, new Connection("one"))
    executing[0]!.done(null, () => {
      throw "unreadable"
    })
    assert.deepStrictEqual(said, ["drop one"])
    assert.include(told()[0], "odd: unreadable")
    const throwing = executor({
      execute: () => {
        throw "broken"
      }
    })
    throwing.run()
    throwing.waiting[0]!.done(undefined, new Connection("one"))
    assert.deepStrictEqual(throwing.said, ["drop one"])
    assert.include(throwing.told()[0], "executing: broken")
  })

  it("fails where the pool throws", () => {
    const plain = errors.make("XStorage", "X", "it")
    const answers: Array<Answer> = []
    poolExecutor
      .make<string, Connection>(
        {
          take: () => {
            throw "no pool"
          },
          give: () => {},
          drop: () => {},
          isClosed: () => false
        },
        {
          errors: {
            ...plain,
            fromDriver: (operation: string, error: unknown, phase: poolExecutor.Phase) =>
              plain.plain(operation, "Connection", true, "no", `${phase}: ${String(error)}`)
          }
        } as unknown as poolExecutor.Driver<string, Connection>
      )
      .run("claim", { statement: "s", values: [] }, 100, (answer) => void answers.push(answer))
    const [first] = answers
    assert.include(first !== undefined && Result.isFailure(first) ? first.failure.message : "", "connecting: no pool")
  })

  it("that is out of time may tell a pool that does not want to know", () => {
    const { setTimeout: real } = globalThis
    let ring = () => {}
    globalThis.setTimeout = ((listener: () => void) => {
      ring = listener
    }) as never
    const answers: Array<Answer> = []
    try {
      poolExecutor
        .make<string, Connection>({ take: () => {}, give: () => {}, drop: () => {}, isClosed: () => false }, {
          errors: errors.make("XStorage", "X", "it")
        } as unknown as poolExecutor.Driver<string, Connection>)
        .run("claim", { statement: "s", values: [] }, 100, (answer) => void answers.push(answer))
    } finally {
      globalThis.setTimeout = real
    }
    assert.doesNotThrow(ring)
    assert.lengthOf(answers, 1)
  })

  it("that is out of time fails, and its connection is given up", () =>
    Effect.runPromise(
      Effect.gen(function* () {
        const { executing, run, said, told, waiting } = executor()
        run(10)
        waiting[0]!.done(undefined, new Connection("one"))
        run(10)
        yield* wait(50)
        assert.deepStrictEqual(said, ["give up one", "no connection in 10"])
        assert.include(told()[0], "Timeout: X did not answer within 10 ms")
        assert.include(told()[1], "Timeout: no connection was free within 10 ms")
        assert.isFalse(waiting[1]!.isWanted())
        executing[0]!.done(null)
        waiting[1]!.done(undefined, new Connection("two"))
        waiting[1]!.done("refused")
        assert.deepStrictEqual(said.slice(2), ["late one", "give two"])
        assert.lengthOf(told(), 2, "told once")
      })
    ))

  it("does not try connections that have not answered since another did not", () =>
    Effect.runPromise(
      Effect.gen(function* () {
        const { executing, run, said, waiting } = executor()
        const [one, two, three] = [new Connection("one"), new Connection("two"), new Connection("three")]
        for (const [i, connection] of [one, two].entries()) {
          run()
          waiting[i]!.done(undefined, connection)
          executing[i]!.done(null)
        }
        yield* wait(2)
        run()
        waiting[2]!.done(undefined, one)
        executing[2]!.done("fatal")
        said.length = 0
        run()
        waiting[3]!.done(undefined, two)
        assert.deepStrictEqual(said, ["drop two"])
        waiting[4]!.done(undefined, three, performance.now() - 1_000)
        assert.deepStrictEqual(said, ["drop two", "drop three"])
        yield* wait(2)
        const four = new Connection("four")
        waiting[5]!.done(undefined, four, performance.now())
        executing[3]!.done(null)
        assert.deepStrictEqual(said, ["drop two", "drop three", "give four"])
      })
    ))

  it("tells whether a connection was there before it", () =>
    Effect.runPromise(
      Effect.gen(function* () {
        const asked: Array<boolean> = []
        const { executing, run, waiting } = executor({
          keepsConnection: () => true,
          isWrongServer: (_error, isOld) => {
            asked.push(isOld)
            return false
          }
        })
        const one = new Connection("one")
        run()
        waiting[0]!.done(undefined, one)
        executing[0]!.done("harmless")
        run()
        waiting[1]!.done(undefined, one)
        executing[1]!.done(null)
        yield* wait(2)
        run()
        waiting[2]!.done(undefined, one)
        executing[2]!.done("harmless")
        run()
        waiting[3]!.done(undefined, new Connection("two"), performance.now() - 1_000)
        executing[3]!.done("harmless")
        run()
        yield* wait(2)
        waiting[4]!.done(undefined, new Connection("three"), performance.now())
        executing[4]!.done("harmless")
        assert.deepStrictEqual(asked, [false, true, true, false])
      })
    ))
})
