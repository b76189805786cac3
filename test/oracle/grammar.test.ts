/** Another's grammar of PL/SQL (that of PMD) reads the text of the blocks as it is sent to Oracle, without a rewriting. It is lenient in places: what shows that it reads a part is that it refuses a broken one. */
import { assert, it } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import { execFile } from "node:child_process"
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as OracleStorage from "../../src/backends/oracle/OracleStorage.js"
import * as statements from "../../src/backends/oracle/statements.js"
import * as Maven from "../harness/maven.js"
import { describeServer } from "../harness/server.js"

const rules =
  '<ruleset name="one" xmlns="http://pmd.sourceforge.net/ruleset/2.0.0"><description>any</description><rule ref="category/plsql/codestyle.xml/ForLoopNaming"/></ruleset>'

/** The names of those that it cannot read. */
const unreadable = (lib: string, texts: Readonly<Record<string, string>>) =>
  Effect.acquireUseRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "plsql-"))),
    (folder) =>
      Effect.callback<ReadonlyArray<string>>((resume) => {
        mkdirSync(join(folder, "src"))
        writeFileSync(join(folder, "rules.xml"), rules)
        for (const [name, text] of Object.entries(texts)) writeFileSync(join(folder, "src", `${name}.sql`), text)
        execFile(
          "java",
          [
            "-cp",
            join(lib, "*"),
            "net.sourceforge.pmd.PMD",
            "-d",
            "src",
            "-R",
            "rules.xml",
            "-f",
            "text",
            "--no-cache"
          ],
          { cwd: folder },
          (_, out, errors) => {
            const said = [...`${out}\n${errors}`.matchAll(/Error while parsing \S*?(\w+)\.sql/g)].map(
              ([, name]) => name!
            )
            // Found nothing wrong where it was told of no file: then it did not run.
            resume(Effect.succeed(out.includes("ForLoopNaming") ? [...new Set(said)].sort() : ["it did not run"]))
          }
        )
      }),
    (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
  )

const all = statements.make('"APP"."STORAGE_LOCK"', 4)
const blocks = {
  claim: all.claim("a"),
  renew: all.renew(["a"], [0]),
  release: all.release,
  revoke: all.revoke,
  get: all.get("a"),
  purge: all.purge,
  create: all.create,
  update: all.update,
  drop: all.drop
}
const texts: Readonly<Record<string, string>> = {
  ...Object.fromEntries(Object.entries(blocks).map(([name, { text }]) => [name, `${text}\n/\n`])),
  time: `${all.time.text};\n`,
  ddl: OracleStorage.ddl({ schema: "APP" })
}

const breaks: Readonly<Record<string, readonly [from: string, to: string]>> = {
  clock: ["INTERVAL DAY(9) TO SECOND(9)", "INTERVAL DAY(9) SECOND(9)"],
  zero: ["TIMESTAMP '1970", "TIMESTAMPP '1970"],
  wait: ["FOR UPDATE WAIT 4", "FOR UPDATE WAIT"],
  loop: ["v_tries < 5 LOOP", "v_tries < 5"],
  handler: ["EXCEPTION WHEN DUP_VAL_ON_INDEX THEN", "EXCEPTION DUP_VAL_ON_INDEX THEN"]
}

await describeServer("a grammar of PL/SQL", Maven.fetch("PMD", ["net.sourceforge.pmd:pmd-plsql:6.55.0"]), (lib) => {
  it.live("reads every block, the clock's query and the text of ddl", () =>
    Effect.map(unreadable(lib, texts), (names) => assert.deepStrictEqual([...names], []))
  )

  it.live("refuses blocks that are broken", () =>
    Effect.gen(function* () {
      const broken = Object.fromEntries(
        Object.entries(breaks).map(([name, [from, to]]) => {
          assert.include(texts["claim"], from)
          return [name, texts["claim"]!.replace(from, to)]
        })
      )
      const names = yield* unreadable(lib, { ...broken, purge: texts["purge"]! })
      assert.deepStrictEqual([...names], Object.keys(breaks).sort())
    })
  )
})
