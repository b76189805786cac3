/**
 * The three files of a database in WAL mode, as they stand at a path now: the database, its log (`-wal`) and the index of the log (`-shm`). SQLite keeps those that it opened, also when
 * they were deleted or replaced meanwhile.
 */
import { readdirSync, readlinkSync, realpathSync, statSync } from "node:fs"

/** Device and inode; nothing where there is no file that can be seen. */
const identityOf = (filename: string): string | undefined => {
  try {
    const stat = statSync(filename, { throwIfNoEntry: false, bigint: true })
    return stat === undefined ? undefined : `${stat.dev}:${stat.ino}`
  } catch {
    // A loop of links, a directory that must not be read: to open it again tells what is the matter.
    return undefined
  }
}

export interface Files {
  /** As the program named it, made absolute. A link there may lead elsewhere later. */
  readonly path: string
  /** Where the links led: SQLite keeps the log beside this one. */
  readonly target: string
  readonly database: string | undefined
  readonly log: string | undefined
  readonly index: string | undefined
}

export const at = (path: string): Files => {
  let target = path
  try {
    target = realpathSync(path)
  } catch {
    // There is no file yet.
  }
  return {
    path,
    target,
    database: identityOf(path),
    log: identityOf(`${target}-wal`),
    index: identityOf(`${target}-shm`)
  }
}

export const hasLog = (files: Files): boolean => identityOf(`${files.target}-wal`) === files.log

const hasWholeLog = (files: Files): boolean => hasLog(files) && identityOf(`${files.target}-shm`) === files.index

/** Whether the log or its index is another one, or is gone, while the database that they belong to still stands where it stood. */
export const logIsGone = (files: Files): boolean => identityOf(files.target) === files.database && !hasWholeLog(files)

export const stillThere = (files: Files): boolean => identityOf(files.path) === files.database && hasWholeLog(files)

/** What this process has open at this moment, by name, as far as the operating system tells (Linux does). */
const openNames = (): ReadonlyArray<string> => {
  try {
    return readdirSync("/proc/self/fd").map((fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`)
      } catch {
        return ""
      }
    })
  } catch {
    return []
  }
}

/** Whether this process has a deleted log, or its index, open for a database that is not deleted. */
export const hasDeletedLog = (target: string): boolean => {
  const names = openNames()
  return (
    !names.includes(`${target} (deleted)`) &&
    (names.includes(`${target}-wal (deleted)`) || names.includes(`${target}-shm (deleted)`))
  )
}
