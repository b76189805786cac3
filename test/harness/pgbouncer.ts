/** A real PgBouncer in front of a server, which hands each transaction to whichever session is free. */
import * as Effect from "#effect/Effect"
import type * as Scope from "#effect/Scope"
import * as Fs from "node:fs"
import * as Path from "node:path"
import Pg from "pg"
import * as Debian from "./debian.js"
import * as Instance from "./instance.js"
import * as Sandbox from "./sandbox.js"
import type { ServerUnavailable } from "./server.js"

const server = "PgBouncer"

/** Its port. `more`: further lines of its configuration. */
export const inFrontOf = (
  to: Instance.Address,
  more: ReadonlyArray<string> = []
): Effect.Effect<Instance.Address, ServerUnavailable, Scope.Scope> =>
  Effect.gen(function* () {
    const { command } = yield* Debian.fetch({
      server,
      package: "pgbouncer",
      keep: (name) => /^(pgbouncer$|lib)/.test(name)
    })
    const program = command("usr/sbin/pgbouncer")
    const sandbox = yield* Sandbox.make(server)
    const config = Path.join(sandbox.directory, "pgbouncer.ini")
    return yield* Instance.make({
      server,
      sandbox,
      command: (port) => {
        Fs.writeFileSync(
          config,
          [
            "[databases]",
            `* = host=${to.host} port=${to.port} user=postgres`,
            "[pgbouncer]",
            `listen_addr = ${Instance.host}`,
            `listen_port = ${port}`,
            "unix_socket_dir =",
            "auth_type = any",
            "pool_mode = transaction",
            ...more,
            ""
          ].join("\n")
        )
        Fs.chmodSync(config, 0o644)
        return { file: program.file, args: [...program.args, config], env: program.env }
      },
      ready: (port) =>
        Effect.tryPromise(async () => {
          const client = new Pg.Client(`postgres://postgres@${Instance.host}:${port}/postgres`)
          client.on("error", () => {})
          await client.connect()
          await client.query("SELECT 1")
          await client.end()
        })
    })
  })
