/** The worlds that are searched. Each is small enough to be searched to its end. */
import type { Bound } from "./model.js"

const base = { margin: 0, skew: 0, late: 1, duplicates: 0, revokes: 0, memory: undefined } as const

/** A few seconds for all of them, and every mutant that does harm is found in one. */
export const small: ReadonlyArray<Bound> = [
  { ...base, name: "one client, a hold in a hold", owners: [0], leases: [[3, 2]], ticks: 3, late: 0 },
  { ...base, name: "two owners, purge", owners: [0, 1], leases: [[1], [1]], ticks: 4, late: 0, memory: 1 },
  { ...base, name: "two owners, a copy by the network", owners: [0, 1], leases: [[1], [1]], ticks: 3, duplicates: 1 },
  {
    ...base,
    name: "two owners, a storage clock that steps",
    owners: [0, 1],
    leases: [[2], [2]],
    ticks: 4,
    late: 0,
    margin: 1,
    skew: 1
  },
  { ...base, name: "two owners, an operator", owners: [0, 1], leases: [[1], [2]], ticks: 3, late: 0, revokes: 1 },
  { ...base, name: "two clients of one owner, late requests", owners: [0, 0], leases: [[2], [1]], ticks: 3 }
]

export const large: ReadonlyArray<Bound> = [
  ...small,
  { ...base, name: "one client, a hold in a hold, late requests", owners: [0], leases: [[3, 1]], ticks: 4 },
  { ...base, name: "two owners, long", owners: [0, 1], leases: [[2], [2]], ticks: 5 },
  { ...base, name: "two owners, long, purge", owners: [0, 1], leases: [[1], [1]], ticks: 4, duplicates: 1, memory: 1 },
  { ...base, name: "two clients of one owner, long", owners: [0, 0], leases: [[2], [1]], ticks: 4 },
  { ...base, name: "a hold in a hold, another owner", owners: [0, 1], leases: [[2, 1], [1]], ticks: 2, late: 0 },
  { ...base, name: "three clients, two owners", owners: [0, 0, 1], leases: [[1], [1], [1]], ticks: 2, late: 0 },
  { ...base, name: "three owners", owners: [0, 1, 2], leases: [[1], [1], [1]], ticks: 3 },
  { ...base, name: "two owners, an operator, late requests", owners: [0, 1], leases: [[1], [2]], ticks: 3, revokes: 1 },
  { ...base, name: "a hold in a hold, another owner, long", owners: [0, 1], leases: [[2, 1], [1]], ticks: 3, late: 0 }
]
