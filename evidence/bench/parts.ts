/** Whose code it is that a profile's time, or memory, goes to. */

export const owners = ["waiting", "driver", "node", "effect", "storage", "lock", "garbage", "bench"] as const
export type Owner = (typeof owners)[number]

/** Microseconds or bytes. */
export type Parts = Readonly<Record<Owner, number>>

export interface Frame {
  readonly functionName: string
  /** Empty for what is no JavaScript. */
  readonly url: string
}

const ofNode: Readonly<Record<string, Owner>> = {
  "(idle)": "waiting",
  "(garbage collector)": "garbage",
  "(program)": "node",
  "(root)": "node"
}

/** Of better-sqlite3: a driver without any JavaScript of its own. No function of the language has these names where this runs. */
const nativeDriver = ["all", "run", "iterate"]

/** What is built into the language works for who calls it. */
export const ownerOf = ({ functionName, url }: Frame, caller: Owner): Owner => {
  if (url === "") return ofNode[functionName] ?? (nativeDriver.includes(functionName) ? "driver" : caller)
  if (url.startsWith("node:")) return "node"
  // What is compiled lies below node_modules, too: the last package counts.
  const inside = url.slice(url.lastIndexOf("/node_modules/") + 1)
  const path = /^node_modules\/\.cache\/[^/]+\/(.*)/.exec(inside)?.[1] ?? inside
  if (/^node_modules\/(effect|@effect)\//.test(path)) return "effect"
  if (path.startsWith("node_modules/")) return "driver"
  if (/(^|\/)src\/backends\//.test(path)) return "storage"
  return /(^|\/)src\//.test(path) ? "lock" : "bench"
}

export const none: Parts = { waiting: 0, driver: 0, node: 0, effect: 0, storage: 0, lock: 0, garbage: 0, bench: 0 }

const each = (of: (owner: Owner) => number): Parts =>
  Object.fromEntries(owners.map((owner) => [owner, of(owner)])) as unknown as Parts

export const scale = (parts: Parts, by: number): Parts => each((owner) => parts[owner] * by)
export const add = (a: Parts, b: Parts): Parts => each((owner) => a[owner] + b[owner])
/** What is more in the first, and not what is less. */
export const difference = (a: Parts, b: Parts): Parts => each((owner) => Math.max(0, a[owner] - b[owner]))
export const sum = (parts: Parts): number => owners.reduce((all, owner) => all + parts[owner], 0)

/** As a profile of the heap has it. */
interface Branch {
  readonly callFrame: Frame
  /** Without what it calls. */
  readonly selfSize: number
  readonly children?: ReadonlyArray<Branch>
}

/** Each frame's own, with all that it calls. */
export const ofTree = (root: Branch): Parts => {
  const found = { ...none }
  const walk = ({ callFrame, children, selfSize }: Branch, caller: Owner): void => {
    const owner = ownerOf(callFrame, caller)
    found[owner] += selfSize
    for (const child of children ?? []) walk(child, owner)
  }
  walk(root, "node")
  return found
}

export interface CpuProfile {
  readonly nodes: ReadonlyArray<{
    readonly id: number
    readonly callFrame: Frame
    readonly children?: ReadonlyArray<number> | undefined
  }>
  readonly samples?: ReadonlyArray<number> | undefined
  /** Microseconds of the machine's monotonic clock. */
  readonly startTime: number
  /** Microseconds. */
  readonly timeDeltas?: ReadonlyArray<number> | undefined
}

/** Microseconds, of what was between two times of the machine's monotonic clock: a profiler takes long to begin and to end. */
export const ofTime = (
  { nodes, samples = [], startTime, timeDeltas = [] }: CpuProfile,
  from: number,
  to: number
): Parts => {
  const own = new Map<number, number>()
  let at = startTime
  samples.forEach((id, i) => {
    const before = Math.max(from, at)
    at += timeDeltas[i] ?? 0
    const during = Math.min(to, at) - before
    if (during > 0) own.set(id, (own.get(id) ?? 0) + during)
  })
  const byId = new Map(nodes.map((node) => [node.id, node]))
  const branch = (id: number): Branch => {
    const { callFrame, children = [] } = byId.get(id)!
    return { callFrame, selfSize: own.get(id) ?? 0, children: children.map(branch) }
  }
  return ofTree(branch(nodes[0]!.id))
}
