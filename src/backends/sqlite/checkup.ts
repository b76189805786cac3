/** What can be wrong with a SQLite file, and with where it stands. */
import * as Effect from "#effect/Effect"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import type { Check, Finding, Open } from "../../common/checkup.js"
import { valid } from "../../common/input.js"
import { peer } from "../shared/driverPackage.js"
import { classify } from "./errors.js"
import { type Options, resolve, type Resolved } from "./options.js"

/** By the numbers that Linux gives file systems. */
const kinds: Readonly<Record<number, readonly [kind: "network" | "memory", name: string]>> = {
  0x6969: ["network", "NFS"],
  0x517b: ["network", "SMB"],
  0xfe534d42: ["network", "SMB"],
  0xff534d42: ["network", "CIFS"],
  0x01021997: ["network", "9p"],
  0x00c36400: ["network", "Ceph"],
  0x5346414f: ["network", "AFS"],
  0x6b414653: ["network", "AFS"],
  0x47504653: ["network", "GPFS"],
  0x0bd00bd0: ["network", "Lustre"],
  0x01021994: ["memory", "tmpfs"],
  0x858458f6: ["memory", "ramfs"]
}

/** Less than a log may grow to before it is written back. In bytes. */
const leastRoom = 16 * 2 ** 20

/** What a file system of this number does to locks. */
export const ofFileSystem = (type: number): ReadonlyArray<Finding> => {
  const [kind, name] = kinds[type >>> 0] ?? []
  return kind === undefined
    ? []
    : [
        kind === "network"
          ? {
              check: "file system",
              severity: "error",
              wrong: `the file is on a network file system (${name})`,
              leads:
                "SQLite's own locks do not work there, so the file may be damaged, and two owners may hold one lock",
              cure: "put the file on a local disk; for several machines use a storage with a server"
            }
          : {
              check: "file system",
              severity: "warning",
              wrong: `the file is in memory (${name})`,
              leads: "it is gone when the machine or its container restarts, and other containers do not see it",
              cure: "put the file on a local disk that all its processes share"
            }
      ]
}

const room = ({ bavail, bsize }: Fs.StatsFs): ReadonlyArray<Finding> =>
  bavail * bsize >= leastRoom
    ? []
    : [
        {
          check: "room",
          severity: "warning",
          wrong: `the disk has ${Math.floor((bavail * bsize) / 2 ** 20)} MiB left`,
          leads: "new locks are refused once it is full",
          cure: "free some of it"
        }
      ]

const temporary = (filename: string): ReadonlyArray<Finding> =>
  [Os.tmpdir(), "/tmp", "/var/tmp"].some((folder) => filename.startsWith(`${folder}${Path.sep}`))
    ? [
        {
          check: "folder",
          severity: "note",
          wrong: "the file is in a folder for temporary files",
          leads: "systems delete old files there, and holds whose file is gone are lost (Vanished)",
          cure: "put the file into a folder of its own, such as /var/lib/app"
        }
      ]
    : []

/** Which of the file, its log and its folder may not be written, though they must. */
const readOnly = (filename: string): ReadonlyArray<Finding> =>
  [filename, `${filename}-wal`, `${filename}-shm`, Path.dirname(filename)].flatMap((path) => {
    try {
      Fs.accessSync(path, Fs.constants.R_OK | Fs.constants.W_OK)
      return []
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      // One that is not there yet is made.
      if (code === "ENOENT" && path !== Path.dirname(filename)) return []
      return [
        {
          check: "file",
          severity: "error",
          wrong: code === "ENOENT" ? `there is no folder ${path}` : `${path} cannot be written (${code})`,
          leads: "no lock can be taken",
          cure:
            code === "ENOENT"
              ? `mkdir -p ${path}`
              : code === "EROFS"
                ? "put the file on a file system that is not read-only"
                : `let the user of the processes read and write it: chown or chmod u+rw ${path}`
        } as const
      ]
    }
  })

const durability = ({ synchronous }: Resolved): ReadonlyArray<Finding> =>
  synchronous === "full"
    ? []
    : [
        {
          check: "synchronous",
          severity: "error",
          wrong: "synchronous is normal",
          leads: "a loss of power may take back the last claims, and around it two owners may hold one lock",
          cure: 'leave the option out, or set `synchronous: "full"`'
        }
      ]

const privately: Finding = {
  check: "file",
  severity: "error",
  wrong: "the database is in the memory of one process",
  leads: "no other process sees its locks, and each takes the same ones",
  cure: "give the path of a file: sqlite:/var/lib/app/locks.db"
}

export const checkup: Open<Options> = (options) =>
  Effect.gen(function* () {
    const resolved = yield* valid(resolve(options))
    const { filename } = resolved
    const driver = yield* peer("SqliteStorage", ["better-sqlite3"], () => import("./driver.js"))
    const look = (evaluate: () => ReadonlyArray<Finding>) =>
      Effect.try({ try: evaluate, catch: (cause) => classify("SqliteStorage.checkup", cause) })
    const first = { name: "durability", look: Effect.succeed(durability(resolved)) }
    if (filename === ":memory:")
      return {
        ping: Effect.succeed(undefined),
        checks: [first, { name: "file", look: Effect.succeed([privately]) }]
      }
    const ask = (text: string) =>
      Effect.scoped(
        Effect.flatMap(driver.open(filename, { readonly: true, timeout: 0 }), ({ execute }) =>
          Effect.try({ try: () => execute(text), catch: (cause) => cause })
        )
      ).pipe(Effect.mapError((cause) => classify("SqliteStorage.checkup", cause)))
    const stats = () => Fs.statfsSync(Path.dirname(filename))
    const checks: ReadonlyArray<Check> = [
      first,
      { name: "file", look: look(() => readOnly(filename)) },
      { name: "file system", look: look(() => ofFileSystem(stats().type)) },
      { name: "folder", look: look(() => temporary(filename)) },
      { name: "room", look: look(() => room(stats())) },
      {
        name: "journal",
        look: Effect.map(ask("PRAGMA journal_mode"), ([row]): ReadonlyArray<Finding> => {
          const { journal_mode: mode } = row as { readonly journal_mode: string }
          return mode === "wal"
            ? []
            : [
                {
                  check: "journal",
                  severity: "error",
                  wrong: `the journal is ${mode}, not wal`,
                  leads: "the library changes it at the start; where it cannot, it takes no lock there",
                  cure: "end the other programs that have the file open, then PRAGMA journal_mode = WAL"
                }
              ]
        })
      }
    ]
    // The clock is this machine's own.
    return { ping: Effect.as(ask("SELECT 1"), undefined), checks }
  })
