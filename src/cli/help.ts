/** The text of `--help`. */
import { type Command, commands, type Flag } from "./commands.js"

const table = (rows: ReadonlyArray<readonly [string, string]>): string => {
  const width = Math.max(...rows.map(([left]) => left.length))
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`).join("\n")
}

const left = ({ name, short, value }: Flag): string =>
  `${short === undefined ? "    " : `-${short}, `}--${name}${value === undefined ? "" : ` ${value}`}`

/** Broken into lines that a terminal shows whole. */
const wrapped = (text: string, width = 88): string =>
  text
    .split("\n")
    .map((paragraph) => {
      const lines: Array<string> = []
      let line = ""
      for (const word of paragraph.split(" ")) {
        if (line !== "" && line.length + word.length >= width) {
          lines.push(line)
          line = word
        } else line = line === "" ? word : `${line} ${word}`
      }
      return [...lines, line].join("\n")
    })
    .join("\n")

export const ofCommand = ({ flags, help, name, notes, positionals }: Command): string =>
  [
    `Usage: storage-lock ${name} ${flags.length === 0 ? "" : "[OPTION…] "}${positionals}`,
    `${help[0]!.toUpperCase()}${help.slice(1)}.`,
    ...(flags.length === 0 ? [] : [table(flags.map((flag) => [left(flag), flag.help]))]),
    ...(notes === undefined ? [] : [wrapped(notes)])
  ].join("\n\n")

export const general = (): string =>
  [
    "Usage: storage-lock COMMAND [OPTION…] [ARGUMENT…]",
    table(commands.map(({ help, name }) => [name, help])),
    "storage-lock COMMAND --help says more of each."
  ].join("\n\n")
