/** Another program that writes in the file of the locks: opens a transaction, writes, says so, and goes on when told. */
import Database from "better-sqlite3"

const database = new Database(process.argv[2], { timeout: 20_000 })
database.exec("BEGIN IMMEDIATE; CREATE TABLE IF NOT EXISTS another (data BLOB)")
// More than the page cache is kept for, so that some of it reaches the file before any commit.
database.pragma("cache_size = 10")
database.prepare("DELETE FROM another").run()
database
  .prepare(
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200) INSERT INTO another SELECT randomblob(2000) FROM n"
  )
  .run()
process.on("message", () => {
  database.exec("COMMIT")
  database.close()
  process.exit(0)
})
process.on("SIGINT", () => {})
process.on("disconnect", () => process.exit(0))
process.send?.("open")
