/** Each misconfiguration is made at a real server, found, and its cure is named. */
import { assert, it } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import { describeServer } from "../harness/server.js"
import * as Shared from "../harness/shared.js"
import * as Zookeeper from "../harness/zookeeper.js"
import { doctor } from "../support/doctor.js"

await describeServer("doctor at ZooKeeper", Shared.zookeeper, (server) => {
  it.live("one server, whose locks are everybody's", () =>
    Effect.gen(function* () {
      const { code, said } = yield* doctor(server.url, ["-o", "root=/open"])
      assert.strictEqual(code, 0)
      assert.deepStrictEqual(
        said.filter(({ severity }) => severity !== "ok").map(({ check, severity, wrong }) => [check, severity, wrong]),
        [
          ["access", "note", "anybody may write to /open"],
          ["servers", "note", "there is one server"]
        ]
      )
    })
  )

  it.live("locks that are everybody's though there is a user, and may be deleted", () =>
    Effect.gen(function* () {
      const url = server.url.replace("://", "://app:hunter2@")
      const own = yield* doctor(url, ["-o", "root=/mine"])
      assert.deepStrictEqual(own.of("access"), [])
      assert.notInclude(own.text, "hunter2")
      const open = yield* doctor(url, ["-o", "root=/open"])
      assert.deepInclude(open.of("access")[0], { severity: "warning", cure: "setAcl -R /open auth::rwca" })
      // What others make has all rights for all.
      yield* doctor(server.url, ["-o", "root=/parent/below"])
      const deletable = yield* doctor(server.url, ["-o", "root=/parent"])
      assert.deepInclude(deletable.of("access")[0], {
        severity: "warning",
        wrong: "nodes below /parent may be deleted"
      })
    })
  )
})

await describeServer("doctor at three ZooKeepers", Zookeeper.cluster(), ([server]) => {
  it.live("a URL that names one of three", () =>
    Effect.gen(function* () {
      const { of } = yield* doctor(server!.url)
      assert.deepInclude(of("servers")[0], { severity: "note", wrong: "the URL names 1 of 3 servers" })
    })
  )
})
