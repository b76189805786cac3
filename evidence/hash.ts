import { createHash } from "node:crypto"
const root = process.argv[2]!
const { generate } = await import(`${root}/evidence/simulate/plan.ts`)
const { run } = await import(`${root}/evidence/simulate/run.ts`)
const { format } = await import(`${root}/evidence/simulate/history.ts`)
const only = process.argv[5] === "kinds"
let t = process.cpuUsage().user
let bad = 0, kinds = 0
for (let seed = Number(process.argv[3]); seed < Number(process.argv[4]); seed++) {
  const plan = generate(seed)
  if (plan.kinds) kinds++
  if (only !== (plan.kinds === true)) continue
  const r = run(plan)
  if (!only) console.log(seed, createHash("md5").update(format(r.history)).digest("hex").slice(0, 8), r.violations.length)
  else if (r.violations.length > 0) { bad++; console.log(seed, plan.storage, plan.calm, r.violations[0].property, r.violations[0].message) }
}
console.error("kinds", kinds, "bad", bad, "cpu s", (process.cpuUsage().user - t) / 1e6)
process.exit()
