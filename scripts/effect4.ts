/** What is done for Effect 4, in a copy of the project that has it: `tsx scripts/effect4.ts test|check|bench|pack [arguments]`. */
import { spawnSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import { prebuilt } from "./prebuilt.js"
import * as tree from "./tree.js"

const root = fileURLToPath(new URL("../", import.meta.url))
const folder = tree.defaultFolder
const [task, ...args] = process.argv.slice(2)

/** What is said of Effect 4 is shown by these: the core, the kit on what is embedded and on three servers, the simulation. They take some minutes. */
const tested = [
  "test/core",
  "test/kinds/readWriteLock",
  "test/kinds/semaphore",
  "test/fleet",
  "test/memory",
  "test/promise",
  "test/audit/memory",
  "test/audit/sqlite",
  "test/testing",
  "test/evidence/simulate",
  "test/sqlite/conformance",
  "test/postgres/conformance",
  "test/postgres/fromClient",
  "test/redis/conformance",
  "test/etcd/conformance",
  "test/project/readme"
]

/** With `--all`: every test of the library. What is left out looks at the project, or is about what Effect 3 alone has (`*.effect3.test.ts`). */
const rooms = [
  "core",
  "audit",
  "kinds",
  "fleet",
  "memory",
  "testing",
  "sqlite",
  "sql",
  "postgres",
  "mysql",
  "mssql",
  "oracle",
  "mongo",
  "redis",
  "etcd",
  "elasticsearch",
  "dynamodb",
  "consul",
  "cassandra",
  "cli",
  "connect",
  "promise",
  "zookeeper",
  "splunk",
  "backends"
]
const all = [...rooms.map((room) => `test/${room}/`), "test/evidence/simulate", "test/project/readme"]

const run = (command: string, rest: ReadonlyArray<string>, env = process.env): void => {
  const { status } = spawnSync(command, rest, { cwd: folder, stdio: "inherit", env })
  if (status !== 0) process.exit(status ?? 1)
}

tree.make(folder)
const lock = Fs.readFileSync(Path.join(folder, "package-lock.json"), "utf8")
const stamp = Path.join(folder, "node_modules/.installed")
if (!Fs.existsSync(stamp) || Fs.readFileSync(stamp, "utf8") !== lock) {
  // Not `npm ci`: it misses an optional package of another platform in a lock that `npm install` has just written.
  run("npm", ["install", "--no-audit", "--no-fund"], { ...process.env, ...prebuilt() })
  Fs.writeFileSync(stamp, lock)
}

switch (task) {
  case "test":
    run("npx", [
      "vitest",
      "run",
      ...(args.some((arg) => arg.startsWith("test/")) ? [] : args.includes("--all") ? all : tested),
      ...args.filter((arg) => arg !== "--all")
    ])
    break
  case "check":
    run("npx", ["tsc", "-p", "tsconfig.build.json", "--noEmit", ...args])
    break
  case "bench":
    // Of others nothing depends on the major.
    run("npx", [
      "tsx",
      "evidence/bench/main.ts",
      "--no-peers",
      "--out",
      Path.join(root, "evidence/bench/effect4"),
      ...args
    ])
    break
  case "pack":
    run("npm", ["pack", ...(args.includes("--pack-destination") ? [] : ["--pack-destination", root]), ...args])
    break
  default:
    console.error("test, check, bench or pack?")
    process.exit(2)
}
