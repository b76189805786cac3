/** A command line as what it asks for. `parseArgs` of Node reads the flags; the table of commands says which there are. */
import { parseArgs } from "node:util"
import { type Command, commands, find } from "./commands.js"
import { UsageError } from "./failure.js"

export interface Asked {
  readonly command: Command
  readonly flags: Readonly<Record<string, string | boolean | ReadonlyArray<string | boolean> | undefined>>
  readonly positionals: ReadonlyArray<string>
  /** Behind `--`. */
  readonly rest: ReadonlyArray<string> | undefined
}

export const parse = (args: ReadonlyArray<string>): Asked | "help" | "version" => {
  const [name, ...others] = args
  if (name === undefined || name === "help" || name === "--help" || name === "-h") return "help"
  if (name === "--version" || name === "-v") return "version"
  const command = find(name)
  if (command === undefined) {
    throw new UsageError(
      `there is no command ${JSON.stringify(name)}; there are: ${commands.map((_) => _.name).join(", ")}`
    )
  }
  const end = others.indexOf("--")
  const own = end < 0 ? others : others.slice(0, end)
  if (end >= 0 && command.name !== "run") throw new UsageError("only run takes a command behind --", name)
  const options: Record<string, { type: "string" | "boolean"; short?: string; multiple?: boolean }> = {
    help: { type: "boolean", short: "h" }
  }
  for (const { multiple, name, short, value } of command.flags) {
    options[name] = {
      type: value === undefined ? "boolean" : "string",
      ...(short === undefined ? {} : { short }),
      ...(multiple === undefined ? {} : { multiple })
    }
  }
  try {
    const { positionals, values } = parseArgs({ args: own, options, allowPositionals: true, strict: true })
    return { command, flags: values, positionals, rest: end < 0 ? undefined : others.slice(end + 1) }
  } catch (error) {
    // Its first sentence says what is wrong; what follows tells programmers how to escape things.
    throw new UsageError((error as Error).message.split(". ")[0]!, name)
  }
}
