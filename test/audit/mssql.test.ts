/** The audit in SQL Server. Runs where the environment names a server. */
import { assert, describe, it } from "#harness/vitest"
import * as Redacted from "effect/Redacted"
import * as MssqlStorage from "../../src/backends/mssql/MssqlStorage.js"
import * as Mssql from "../harness/mssql.js"
import { resource } from "../harness/resource.js"
import { describeServer } from "../harness/server.js"
import { suite } from "./suite.js"

describe("the table of an audit in SQL Server", () => {
  it("is called as it is asked for, whatever the name is made of", () => {
    const text = MssqlStorage.ddlAudit({ schema: "a]b", table: "it's" })
    assert.include(text, "OBJECT_ID(N'[a]]b].[it''s]', N'U') IS NULL")
    assert.include(text, "CREATE TABLE [a]]b].[it's] (")
    assert.include(MssqlStorage.ddlAudit(), "CREATE TABLE [storage_lock_audit] (")
    assert.throws(() => MssqlStorage.ddlAudit({ table: "x".repeat(129) }), /table must be a name/)
    assert.throws(() => MssqlStorage.ddlAudit({ tabel: "x" } as never), /did you mean table/)
  })
})

await describeServer(
  "the audit in SQL Server",
  Mssql.scoped,
  (server) => {
    const url = resource(server.freshDatabase())
    suite({
      name: "SQL Server",
      layer: () => MssqlStorage.layer({ url: Redacted.make(url()) }),
      nameOf: (number) => `an "audit" 'of' [${number}]`
    })
  },
  { optional: true }
)
