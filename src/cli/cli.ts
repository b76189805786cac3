/** The command `storage-lock`. */
import { codes } from "./codes.js"
import { find } from "./commands.js"
import { codeOf, UsageError } from "./failure.js"
import * as help from "./help.js"
import type { Io } from "./io.js"
import { type Asked, parse } from "./parse.js"
import { version } from "./version.js"

type Run = (asked: Asked, io: Io) => Promise<number>

/** Loaded when asked for: most need no storage to say what is wrong. */
const runs: Readonly<Record<string, () => Promise<Run>>> = {
  run: async () => (await import("./commands/run.js")).run,
  list: async () => (await import("./commands/inspect.js")).list,
  get: async () => (await import("./commands/inspect.js")).get,
  audit: async () => (await import("./commands/audit.js")).audit,
  watch: async () => (await import("./commands/watch.js")).watch,
  console: async () => (await import("./commands/console.js")).console,
  release: async () => (await import("./commands/release.js")).release,
  ddl: async () => (await import("./commands/ddl.js")).ddl,
  doctor: async () => (await import("./commands/doctor.js")).doctor,
  completion: async () => (await import("./commands/completion.js")).completion
}

/** Runs one command line, to its exit code. */
export const cli = async (args: ReadonlyArray<string>, io: Io): Promise<number> => {
  try {
    const asked = parse(args)
    if (asked === "help") io.out(help.general())
    else if (asked === "version") io.out(version)
    else if (asked.flags["help"] === true) io.out(help.ofCommand(asked.command))
    else return await (await runs[asked.command.name]!())(asked, io)
    return codes.ok
  } catch (error) {
    const code = codeOf(error)
    if (code === undefined) throw error
    io.err((error as Error).message)
    const command = error instanceof UsageError && error.command !== undefined ? find(error.command) : undefined
    if (command !== undefined) io.err(help.ofCommand(command).split("\n")[0]!)
    return code
  }
}
