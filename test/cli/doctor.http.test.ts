/** Each misconfiguration is made at a real server, found, and its cure is named. */
import { assert, it } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import * as ConsulStorage from "../../src/backends/consul/ConsulStorage.js"
import * as Consul from "../harness/consul.js"
import { describeServer } from "../harness/server.js"
import * as Shared from "../harness/shared.js"
import { doctor } from "../support/doctor.js"

await describeServer("doctor at OpenSearch", Shared.opensearch, (server) => {
  const url = server.url.replace("http://", "opensearch+http://")

  it.live("finds nothing but that there is one node", () =>
    Effect.gen(function* () {
      const { code, said } = yield* doctor(url, ["-o", `index=${yield* server.freshIndex}`])
      assert.deepStrictEqual(
        said.filter(({ severity }) => severity !== "ok").map(({ check, severity }) => [check, severity]),
        [["copies", "note"]]
      )
      assert.strictEqual(code, 0)
    })
  )

  for (const [what, check, settings, severity, cure] of [
    [
      "a log that is written late",
      "translog",
      { "index.translog.durability": "async" },
      "error",
      /durability":"request"/
    ],
    [
      "copies that are nowhere",
      "copies",
      { "index.auto_expand_replicas": "false", "index.number_of_replicas": 2 },
      "warning",
      /auto_expand_replicas":"0-1"/
    ],
    ["a block of writes", "blocks", { "index.blocks.write": true }, "error", /"index.blocks.write":null/],
    [
      "a full disk",
      "blocks",
      { "index.blocks.read_only_allow_delete": true },
      "error",
      /make room .*"index.blocks.read_only_allow_delete":null/
    ]
  ] as const)
    it.live(what, () =>
      Effect.gen(function* () {
        const index = yield* server.freshIndex
        yield* doctor(url, ["-o", `index=${index}`])
        const { status } = yield* server.admin("PUT", `/${index}-1/_settings`, settings)
        assert.strictEqual(status, 200)
        const { code, of } = yield* doctor(url, ["-o", `index=${index}`])
        yield* server.admin("PUT", `/${index}-1/_settings`, {
          "index.blocks.write": null,
          "index.blocks.read_only_allow_delete": null
        })
        assert.strictEqual(code, 1)
        assert.strictEqual(of(check)[0]?.severity, severity)
        assert.match(of(check)[0]!.cure!, cure)
        assert.deepStrictEqual(of("warns"), [])
      })
    )

  it.live("the clocks differ", () =>
    Effect.gen(function* () {
      const { of } = yield* doctor(url, ["-o", `index=${yield* server.freshIndex}`], () => Date.now() - 60_000)
      assert.match(of("clock")[0]!.wrong!, /is (59|60)\d{3} ms behind/)
    })
  )
})

const consul = (url: string) => url.replace("http://", "consul://")

await describeServer(
  "doctor at Consul",
  Consul.own({ more: { limits: { http_max_conns_per_client: 10 } } }),
  (server) => {
    it.live("without rules, with one server, and with too few connections for a host", () =>
      Effect.gen(function* () {
        const { code, of } = yield* doctor(consul(server.url))
        assert.strictEqual(code, 1)
        assert.deepInclude(of("access")[0], { severity: "note" })
        assert.deepInclude(of("servers")[0], { severity: "note" })
        assert.deepInclude(of("agent")[0], { severity: "warning", wrong: "limits.http_max_conns_per_client is 10" })
      })
    )
  }
)

const master = "the-master-token"

await describeServer("doctor at Consul with tokens", Consul.own({ master }), (server) => {
  const token = (rules: string) =>
    Effect.gen(function* () {
      const Name = `policy-${Math.random().toString(36).slice(2)}`
      yield* server.admin("PUT", "/v1/acl/policy", { Name, Rules: rules })
      const { body } = yield* server.admin("PUT", "/v1/acl/token", { Policies: [{ Name }] })
      return body.SecretID as string
    })

  it.live("a token that may not write, and one that may not look at the agent", () =>
    Effect.gen(function* () {
      const reader = yield* token('key_prefix "effect-storage-lock/" { policy = "read" }')
      const less = yield* doctor(consul(server.url), ["-o", `token=${reader}`])
      assert.strictEqual(less.of("rights")[0]?.severity, "error")
      assert.include(less.of("rights")[0]!.cure, 'key_prefix "effect-storage-lock/" { policy = "write" }')
      assert.notInclude(less.text, reader)
      const enough = yield* doctor(consul(server.url), ["-o", `token=${yield* token(ConsulStorage.policy())}`])
      assert.strictEqual(enough.code, 0)
      assert.deepStrictEqual(enough.of("rights"), [])
      assert.match(enough.of("agent")[0]!.why!, /agent_prefix/)
    })
  )
})
