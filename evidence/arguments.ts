/** The command lines of the evidence: what they have in common. An `Error` says to the user what is wrong. */

/** What is asked for. What cannot be understood ends the process with code 2, and a call for help with code 0. */
export const asked = <Options>({
  help,
  parse
}: {
  readonly help: string
  readonly parse: (args: ReadonlyArray<string>) => Options | "help"
}): Options => {
  let options: Options | "help"
  try {
    options = parse(process.argv.slice(2))
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n\n${help}`)
    process.exit(2)
  }
  if (options !== "help") return options
  process.stdout.write(help)
  process.exit(0)
}

export const number = (name: string, text: string, least: number, most: number, whole = true): number => {
  const value = Number(text)
  if (!(value >= least && value <= most) || (whole && !Number.isInteger(value))) {
    throw new Error(
      `--${name} must be a ${whole ? "whole " : ""}number from ${least} to ${most}, but is ${JSON.stringify(text)}`
    )
  }
  return value
}

export const oneOf = <A extends string>(name: string, text: string, all: ReadonlyArray<A>): A => {
  const one = all.find((each) => each === text)
  if (one === undefined) throw new Error(`--${name} must be one of ${all.join(", ")}, but is ${JSON.stringify(text)}`)
  return one
}
