/** Stops a process that has its locks in a file of SQLite, and not in the middle of a write: then it has the whole file for as long as it stands still, and nobody gets anything. */
import Database from "better-sqlite3"
import type { ChildProcess } from "node:child_process"
import { setTimeout } from "node:timers/promises"

const isWritable = (file: string): boolean => {
  const database = new Database(file, { timeout: 1_000 })
  try {
    database.exec("BEGIN IMMEDIATE; ROLLBACK")
    return true
  } catch {
    return false
  } finally {
    database.close()
  }
}

export const stopBetweenWrites = async (child: ChildProcess, file: string): Promise<void> => {
  for (let stops = 1; child.kill("SIGSTOP") && !isWritable(file); stops++) {
    child.kill("SIGCONT")
    await setTimeout(7 * stops)
  }
}
