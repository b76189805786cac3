/** What the judges use of vitest, for a program that runs them again and again: it registers tests, and leaves it to `runner.mjs` to run them. */
import { createRequire } from "node:module"
import { isDeepStrictEqual } from "node:util"

const require = createRequire(import.meta.url)
export const assert = createRequire(require.resolve("vitest/package.json"))("chai").assert

/** @type {Array<{ id: string, body: Function, skipped: boolean, groups: Array<Group> }>} */
export const tests = []

/** @typedef {{ name: string, before: Array<Function>, after: Array<Function>, beforeEach: Array<Function>, afterEach: Array<Function> }} Group */
const group = (name) => ({ name, before: [], after: [], beforeEach: [], afterEach: [] })
const groups = [group("")]
const names = new Map()

const make =
  (skipped) =>
  (name, ...rest) => {
    const body = rest.find((each) => typeof each === "function")
    const full = [...groups.map((each) => each.name), name].filter((each) => each !== "").join(" > ")
    const times = names.get(full) ?? 0
    names.set(full, times + 1)
    tests.push({ id: times === 0 ? full : `${full} (${times + 1})`, body, skipped, groups: [...groups] })
  }

export const it = Object.assign(make(false), {
  skip: make(true),
  skipIf: (condition) => make(Boolean(condition)),
  runIf: (condition) => make(!condition),
  scoped: () => {}
})
export const test = it

const within =
  (skipped) =>
  (name, ...rest) => {
    if (skipped) return
    groups.push(group(name))
    rest.find((each) => typeof each === "function")(it)
    groups.pop()
  }
export const describe = Object.assign(within(false), {
  skip: within(true),
  skipIf: (condition) => within(Boolean(condition))
})

export const beforeAll = (f) => void groups.at(-1).before.push(f)
export const afterAll = (f) => void groups.at(-1).after.unshift(f)
export const beforeEach = (f) => void groups.at(-1).beforeEach.push(f)
export const afterEach = (f) => void groups.at(-1).afterEach.unshift(f)

export const expect = Object.assign(
  (actual, message) => ({
    toBe: (expected) => assert.isTrue(Object.is(actual, expected), message ?? `${actual} is not ${expected}`),
    toEqual: (expected) =>
      assert.isTrue(
        isDeepStrictEqual(actual, expected),
        message ?? `${JSON.stringify(actual)} does not equal ${JSON.stringify(expected)}`
      ),
    toBeGreaterThan: (than) => assert.isAbove(actual, than, message),
    toBeGreaterThanOrEqual: (than) => assert.isAtLeast(actual, than, message),
    toBeLessThan: (than) => assert.isBelow(actual, than, message),
    toBeLessThanOrEqual: (than) => assert.isAtMost(actual, than, message)
  }),
  {
    addEqualityTesters: () => {},
    unreachable: (message) => assert.fail(message ?? "this was not to be reached")
  }
)
