/** Numbers and names of a command line, checked: an `Error` says to its user what is wrong. */
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
