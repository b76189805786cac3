/** The audit in the MySQL family. */
import * as Effect from "#effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Mysql2 from "mysql2/promise"
import * as MysqlStorage from "../../src/backends/mysql/MysqlStorage.js"
import { resource } from "../harness/resource.js"
import { describeServer } from "../harness/server.js"
import * as Shared from "../harness/shared.js"
import { suite } from "./suite.js"

for (const name of ["mysql8", "mariadb10", "mariadb11", "tidb"] as const) {
  await describeServer(`the audit in ${name}`, Shared.mysql(name), (server) => {
    const url = resource(server.freshDatabase)
    const query = (text: string) =>
      Effect.promise(async () => {
        const connection = await Mysql2.createConnection(url())
        await connection.query(text)
        await connection.end()
      })
    suite({
      name,
      layer: () => MysqlStorage.layer({ url: Redacted.make(url()) }),
      nameOf: (number) => `an "audit" 'of' ${number}`,
      make: (table) => query(MysqlStorage.ddlAudit({ table })),
      destroy: (table) => query(`DROP TABLE \`${table}\``)
    })
  })
}
