/** The kit can fail: each of these storages breaks one rule, and the cases of that rule catch it. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import { describe, expect, it } from "@effect/vitest"
import * as Conformance from "../src/testing/index.js"
import { target } from "./broken/base.js"
import { storages } from "./broken/storages.js"
import { transitions } from "./broken/transitions.js"

const family = [...transitions, ...storages]

describe("the conformance kit", () => {
  describe("a correct storage passes, with nothing skipped", () => {
    for (const each of Conformance.cases) {
      it.live(each.name, () =>
        Effect.map(Conformance.check(each, target("correct")), (result) => {
          expect(result._tag === "Failed" ? Cause.pretty(result.cause) : result._tag).toBe("Passed")
        }))
    }
  })

  describe("a storage that breaks one rule is caught by that rule", () => {
    for (const { name, parts, rules } of family) {
      for (const rule of rules) {
        it.live(`${name} [${rule}]`, () =>
          Effect.gen(function*() {
            const cases = Conformance.cases.filter((each) => each.rule === rule)
            expect(cases, `there is a case for ${rule}`).not.toHaveLength(0)
            const results = yield* Effect.forEach(cases, (each) => Conformance.check(each, { ...target(name, parts), seed: 42 }))
            const failed = results.filter((result) => result._tag === "Failed")
            expect(failed, `no case of ${rule} has noticed`).not.toHaveLength(0)
            // By its own judgement, not by an accident on the way there.
            for (const { cause } of failed) expect(Cause.isDie(cause), Cause.pretty(cause)).toBe(false)
          }))
      }
    }
  })

  it("has for each rule a storage that breaks it", () => {
    const broken = new Set(family.flatMap(({ rules }) => rules))
    expect(Conformance.cases.map(({ rule }) => rule).filter((rule) => !broken.has(rule))).toEqual([])
  })

  it("names every case and every broken storage once", () => {
    for (const names of [Conformance.cases.map(({ name }) => name), family.map(({ name }) => name)]) {
      expect(new Set(names).size).toBe(names.length)
    }
  })
})
