/** What the console sees, as Prometheus reads it. Of processes and their waits it knows nothing: those have metrics of their own. */
import { bounds } from "./latencies.js"
import type { Looker } from "./looker.js"
import * as model from "./model.js"

const escaped = (text: string): string => text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n")

type Labels = Readonly<Record<string, string>>
type Sample = readonly [suffix: string, labels: Labels, value: number]

export const type = "text/plain; version=0.0.4; charset=utf-8"

export const metrics = (looker: Looker): string => {
  const { latencies, locks, storage } = { ...looker.state, latencies: looker.latencies }
  const all = { storage: storage.name, namespace: looker.options.namespace }
  const lines: Array<string> = []
  const metric = (
    name: string,
    kind: "gauge" | "counter" | "histogram",
    help: string,
    samples: ReadonlyArray<Sample>
  ) => {
    lines.push(`# HELP storage_lock_console_${name} ${help}`, `# TYPE storage_lock_console_${name} ${kind}`)
    for (const [suffix, more, value] of samples) {
      const labels = Object.entries({ ...all, ...more }).map(([label, text]) => `${label}="${escaped(text)}"`)
      lines.push(`storage_lock_console_${name}${suffix}{${labels.join(",")}} ${value}`)
    }
  }
  const holds = locks.flatMap((lock) => lock.holders ?? [lock])
  const one = (value: number): ReadonlyArray<Sample> => [["", {}, value]]
  const seconds = (values: ReadonlyArray<number>) => values.map((value) => value / 1_000)

  metric("up", "gauge", "Whether the storage answered the last look", one(storage.status === "ok" ? 1 : 0))
  metric(
    "last_look_timestamp_seconds",
    "gauge",
    "When the storage answered last; 0 if never",
    one(storage.lastLook === undefined ? 0 : Date.parse(storage.lastLook) / 1_000)
  )
  metric("locks", "gauge", "Locks that were held at the last look, a thousand at most", one(locks.length))
  metric(
    "revoked_locks",
    "gauge",
    "Locks among them that were taken from their holders, and stay blocked until their leases end",
    one(locks.filter(({ isRevoked }) => isRevoked).length)
  )
  metric(
    "holds",
    "gauge",
    "Holds of these locks, of which read-write locks and semaphores have several",
    one(holds.length)
  )
  metric(
    "longest_hold_seconds",
    "gauge",
    "For how long the oldest of these holds has lasted; 0 if there is none",
    one(Math.max(0, ...seconds(holds.map(({ heldFor }) => heldFor))))
  )
  metric(
    "least_lease_ratio",
    "gauge",
    "The smallest part that was left of a lease, of those that are not revoked; 1 if there is none",
    one(
      Math.min(
        1,
        ...holds
          .filter(({ isRevoked }) => !isRevoked)
          .map(({ leaseLeft, leaseLength }) => (leaseLength === 0 ? 0 : leaseLeft / leaseLength))
      )
    )
  )
  metric(
    "lost_total",
    "counter",
    "Holds that were lost, as far as the console has seen it",
    model.losses.map((kind): Sample => ["", { kind }, looker.losses[kind]])
  )
  metric("hand_overs_total", "counter", "Holds that followed another between two looks", one(looker.handOvers))
  metric("looks_total", "counter", "Looks, by their outcome", [
    ["", { outcome: "ok" }, latencies.count],
    ["", { outcome: "failed" }, looker.failures]
  ])
  metric("look_seconds", "histogram", "How long a look takes", [
    ...bounds.map((bound, index): Sample => ["_bucket", { le: String(bound) }, latencies.within[index]!]),
    ["_bucket", { le: "+Inf" }, latencies.count],
    ["_sum", {}, latencies.sum / 1_000],
    ["_count", {}, latencies.count]
  ])
  return `${lines.join("\n")}\n`
}
