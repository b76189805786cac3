/**
 * A real TiDB with its embedded store, built from its published Go module. The build takes ten minutes: it is done where `EFFECT_STORAGE_LOCK_BUILD=1` asks for it, and its result is
 * kept; no other run waits for it.
 */
import * as Effect from "#effect/Effect"
import type * as Scope from "#effect/Scope"
import * as ChildProcess from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Cache from "./cache.js"
import * as Golang from "./golang.js"
import * as Instance from "./instance.js"
import * as Mysql from "./mysql.js"
import * as Sandbox from "./sandbox.js"
import { freePort, ServerUnavailable } from "./server.js"

const server = "TiDB 8.5"
export const name = `tidb-8.5-${process.platform}-${process.arch}`

const program: Golang.Program = {
  server,
  program: "github.com/pingcap/tidb/cmd/tidb-server",
  // Release tags do not resolve as versions of the module; this commit is of the 8.5 line.
  version: "v1.1.0-beta.0.20241125141335-ec8b81b98edc",
  name: "tidb-server",
  replaces: [
    "github.com/go-ldap/ldap/v3 => github.com/YangKeao/ldap/v3 v3.4.5-0.20230421065457-369a3bab1117",
    "github.com/pingcap/tidb/pkg/parser => github.com/pingcap/tidb/pkg/parser v0.0.0-20241125141335-ec8b81b98edc",
    "sourcegraph.com/sourcegraph/appdash => github.com/sourcegraph/appdash v0.0.0-20190731080439-ebfcffb1b5c0",
    "sourcegraph.com/sourcegraph/appdash-data => github.com/sourcegraph/appdash-data v0.0.0-20151005221446-73f23eafcf67"
  ]
}

/** Whether this run builds it, and so must have it. */
export const wanted = process.env["EFFECT_STORAGE_LOCK_BUILD"] === "1"

export const binary: Effect.Effect<string, ServerUnavailable> = Effect.suspend(() => {
  const kept = Path.join(Cache.cacheFolder() ?? "", name, "tidb-server")
  if (Fs.existsSync(kept)) return Effect.succeed(kept)
  if (!wanted) {
    return new ServerUnavailable({
      server,
      reason: "it is not built; EFFECT_STORAGE_LOCK_BUILD=1 builds it, in ten minutes"
    })
  }
  if (ChildProcess.spawnSync("go", ["version"]).status !== 0)
    return new ServerUnavailable({ server, reason: "go is not installed" })
  return Effect.map(
    Cache.folder(server, name, (work) => Golang.build(program, work)),
    (folder) => Path.join(folder, "tidb-server")
  )
})

export const own: Effect.Effect<Mysql.MysqlServer, ServerUnavailable, Scope.Scope> = Effect.gen(function* () {
  const file = yield* binary
  const sandbox = yield* Sandbox.make(server)
  const status = yield* freePort
  const instance = yield* Instance.make({
    server,
    sandbox,
    command: (port) => ({
      file,
      args: [
        "-store",
        "unistore",
        "-path",
        Path.join(sandbox.directory, "data"),
        "-socket",
        "",
        "-host",
        Instance.host,
        "-P",
        String(port),
        "-status-host",
        Instance.host,
        "-status",
        String(status),
        "-L",
        "error",
        "-log-file",
        Path.join(sandbox.directory, "tidb.log")
      ]
    }),
    ready: (port) => Mysql.query(Mysql.urlAt(port), "SELECT 1", undefined, 1_000),
    patience: "3 minutes"
  })
  return Mysql.of(instance)
})
