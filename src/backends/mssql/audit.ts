/** The audit trail as a table of SQL Server. */
import * as shared from "../shared/audit.js"
import type { Dialect } from "../sql/audit.js"
import { literal } from "./names.js"
import { binary, clock, notNow, prologue, type Kind, type Statement } from "./statements.js"

/** No collation folds texts. */
const text = (size: string): string => `nvarchar(${size}) ${binary}`

const types: Readonly<Record<(typeof shared.columns)[number], string>> = {
  entry_id: text("64"),
  happened_at: "bigint",
  event: text("64"),
  namespace: text("64"),
  lock_id: text("255"),
  owner_id: text("255"),
  owner_label: text("255"),
  token: "bigint",
  host: text("255"),
  pid: "bigint",
  detail: text("max")
}

const columns = shared.columns.join(", ")

/** The second index is the order in which entries are read and dropped. */
export const createTable = (table: string): string =>
  `IF OBJECT_ID(${literal(table)}, N'U') IS NULL
CREATE TABLE ${table} (
${shared.columns.map((name) => `  ${name} ${types[name]} NOT NULL,`).join("\n")}
  written_at bigint NOT NULL,
  PRIMARY KEY CLUSTERED (entry_id),
  UNIQUE (written_at, entry_id)
);`

const now = "(@t / 1000)"

/** Names in brackets nowhere: none of the columns is a word of the language. `database`: where the storage was opened. */
export const make =
  (lockTimeout: number, database: string | undefined) =>
  (table: string): Dialect<Statement> => {
    const statement = (kinds: ReadonlyArray<Kind>, body: string): Statement => ({
      kinds,
      lockTimeout,
      text: `${prologue(lockTimeout, database)}\n${body}`
    })
    const insert = statement(
      ["text"],
      `${clock}
INSERT INTO ${table} (${columns}, written_at)
SELECT ${shared.columns.map((name) => `j.${name}`).join(", ")}, ${now}
FROM OPENJSON(@1) WITH (${shared.columns.map((name, i) => `${name} ${types[name].replace(` ${binary}`, "")} '$[${i}]'`).join(", ")}) AS j
WHERE NOT EXISTS (SELECT 1 FROM ${table} AS a WHERE a.entry_id = j.entry_id ${binary});`
    )
    // Blanks at the end of texts do not count, but their bytes do.
    const page = statement(
      ["bigint", "name", "name", "name", "int"],
      `SELECT TOP (@5) ${columns}, written_at FROM ${table}
WHERE written_at >= @1 AND (written_at > @1 OR entry_id > @2 ${binary}) AND namespace = @3 ${binary} AND DATALENGTH(namespace) = DATALENGTH(@3)
  AND (@4 IS NULL OR (lock_id = @4 ${binary} AND DATALENGTH(lock_id) = DATALENGTH(@4)))
ORDER BY written_at, entry_id;`
    )
    const drop = statement(
      ["bigint", "int"],
      `${clock}
WITH a AS (SELECT TOP (@2) entry_id FROM ${table} WHERE written_at < ${now} - @1 ORDER BY written_at, entry_id)
DELETE FROM a;
SELECT @@ROWCOUNT AS dropped;`
    )
    return {
      create: {
        kinds: [],
        lockTimeout,
        text: `${prologue(lockTimeout, database)}
DECLARE @effect_storage_lock_turn int;
BEGIN TRANSACTION;
EXEC @effect_storage_lock_turn = sys.sp_getapplock @Resource = N'effect-storage-lock', @LockMode = N'Exclusive', @LockOwner = N'Transaction', @LockTimeout = ${lockTimeout};
IF @effect_storage_lock_turn < 0 THROW ${notNow}, N'effect-storage-lock: another set-up is under way', 1;
${createTable(table)}
COMMIT TRANSACTION;`
      },
      check: statement([], `SELECT TOP (0) ${columns}, written_at FROM ${table};`),
      insert: (rows) => ({ statement: insert, values: [JSON.stringify(rows.map(shared.valuesOf))] }),
      page: (writtenAt, id, { limit, lockId = null, namespace }) => ({
        statement: page,
        values: [writtenAt, id, namespace, lockId, limit]
      }),
      drop: (olderThan, limit) => ({ statement: drop, values: [olderThan, limit] })
    }
  }
