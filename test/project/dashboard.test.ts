/** The dashboard and the alarms ask for metrics and labels that there are, in queries that Prometheus can read. */
import { parser } from "@prometheus-io/lezer-promql"
import * as Yaml from "js-yaml"
import * as Fs from "node:fs"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "vitest"

const read = (path: string): string => Fs.readFileSync(fileURLToPath(new URL(`../../${path}`, import.meta.url)), "utf8")

interface Dashboard {
  readonly panels: ReadonlyArray<{
    readonly id: number
    readonly title: string
    readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number }
    readonly targets: ReadonlyArray<{ readonly expr: string; readonly legendFormat: string }>
  }>
}

interface Rules {
  readonly groups: ReadonlyArray<{
    readonly rules: ReadonlyArray<{
      readonly alert: string
      readonly expr: string
      readonly annotations: Record<string, string>
    }>
  }>
}

const dashboard = JSON.parse(read("docs/grafana/dashboard.json")) as Dashboard
const rules = (Yaml.load(read("docs/grafana/alerts.yml")) as Rules).groups.flatMap((group) => group.rules)

const queries = [
  ...dashboard.panels.flatMap(({ targets, title }) => targets.map(({ expr }) => [`panel ${title}`, expr] as const)),
  ...rules.map(({ alert, expr }) => [`alarm ${alert}`, expr] as const)
]

/** What Grafana puts in before Prometheus sees it. */
const filled = (expr: string): string => expr.replaceAll("$__rate_interval", "5m").replaceAll("$storage", ".*")

/** By the name, without what Prometheus adds for a histogram. */
const histograms = new Set<string>()
const metrics = new Set(
  [...read("src/core/metrics.ts").matchAll(/(counter|gauge|histogram)\(\s*"(storage_lock_\w+)"/g)].map(
    ([, kind, name]) => {
      if (kind === "histogram") histograms.add(name!)
      return name!
    }
  )
)

const labels = new Set(["storage", "namespace", "lock_id", "outcome", "reason", "operation", "le"])

const nodesOf = (text: string, names: ReadonlyArray<string>): ReadonlyArray<string> => {
  const found: Array<string> = []
  parser.parse(text).iterate({
    enter: ({ from, name, to }) => {
      if (names.includes(name)) found.push(text.slice(from, to))
    }
  })
  return found
}

/** Whether the parser has found what it could not read. */
const isBroken = (text: string): boolean => {
  let broken = false
  parser.parse(text).iterate({ enter: ({ type }) => void (broken ||= type.isError) })
  return broken
}

describe("dashboard and alarms", () => {
  it("the parser can refuse, and metrics are found in the source", () => {
    assert.isTrue(isBroken("sum by (("))
    assert.isAbove(metrics.size, 12)
    assert.isAbove(queries.length, 20)
  })

  for (const [where, expr] of queries) {
    it(`${where}: ${expr}`, () => {
      const text = filled(expr)
      assert.isFalse(isBroken(text), text)
      const names = [...text.matchAll(/storage_lock_\w+/g)].map(([name]) => name)
      assert.isNotEmpty(names)
      for (const name of names) {
        const base = name.replace(/_bucket$/, "")
        assert.isTrue(metrics.has(base), name)
        assert.strictEqual(name !== base, histograms.has(base), `${name}: a histogram is asked by its buckets`)
      }
      for (const label of nodesOf(text, ["LabelName"])) assert.isTrue(labels.has(label), label)
    })
  }

  it("panels do not lie upon each other, and each has an id of its own", () => {
    assert.strictEqual(new Set(dashboard.panels.map(({ id }) => id)).size, dashboard.panels.length)
    const taken = new Set<string>()
    for (const {
      gridPos: { h, w, x, y },
      title
    } of dashboard.panels) {
      assert.isAtMost(x + w, 24, title)
      for (let column = x; column < x + w; column++)
        for (let row = y; row < y + h; row++) {
          assert.isFalse(taken.has(`${column} ${row}`), title)
          taken.add(`${column} ${row}`)
        }
    }
  })

  it("what an alarm shows of a label, its query keeps", () => {
    for (const { alert, annotations, expr } of rules)
      for (const text of Object.values(annotations))
        for (const [, label] of text.matchAll(/\$labels\.(\w+)/g))
          assert.match(expr, new RegExp(`by \\([^)]*\\b${label}\\b`), alert)
  })
})
