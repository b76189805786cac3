/** What the schedules say must hold. Apart from any test runner: they run in processes of their own, too. */

export class Violation extends Error {}

const fail = (what: string, ...values: ReadonlyArray<unknown>): never => {
  throw new Violation(values.length === 0 ? what : `${what}: ${values.map(String).join(", ")}`)
}

export const isTrue = (is: boolean, what: string): void => void (is || fail(what))
export const isFalse = (is: boolean, what: string): void => void (is && fail(what))
export const isAbove = (value: number, least: number, what = "above"): void =>
  void (value > least || fail(what, value, least))
export const isAtLeast = (value: number, least: number, what: string): void =>
  void (value >= least || fail(what, value, least))
export const isAtMost = (value: number, most: number, what: string): void =>
  void (value <= most || fail(what, value, most))
export const strictEqual = (value: unknown, other: unknown, what = "equal"): void =>
  void (value === other || fail(what, value, other))
