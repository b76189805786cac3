import type { Resource } from "./resource.js"
import type { Check, Fault, Show } from "./show.js"

const check = (name: string, wrong: ReadonlyArray<string>, detail: string): Check => ({
  name,
  ok: wrong.length === 0,
  detail:
    wrong.length === 0
      ? detail
      : wrong.slice(0, 5).join("; ") + (wrong.length > 5 ? `; and ${wrong.length - 5} more` : "")
})

/** No write of another hold between a begin and its end, refused ones included; only a killed or frozen hold may stay open. */
const serial = (show: Show, resource: Resource): Check => {
  const excused = new Set([show.killed?.token, show.frozen?.token])
  const wrong: Array<string> = []
  let open: number | undefined
  for (const { accepted, write } of resource.arrivals) {
    if (!accepted && write.token === show.frozen?.token) continue
    if (open !== undefined && write.token !== open && !excused.has(open))
      wrong.push(`${write.id} came inside the hold with token ${open}`)
    if (write.kind !== "begin" && write.token !== open) wrong.push(`${write.id} came outside its hold`)
    if (write.kind === "begin" && write.token === open) wrong.push(`${write.id} began a hold twice`)
    if (!accepted) wrong.push(`${write.id} was refused`)
    open = write.kind === "end" ? undefined : write.token
  }
  return check(
    "writes are serial: no hold begins before the one before has ended",
    wrong,
    `${resource.arrivals.length} writes in the order of arrival`
  )
}

const tokens = (show: Show): Check => {
  const holds = [...show.holds].sort((a, b) => a.begin - b.begin || a.token - b.token)
  const wrong = holds.flatMap((hold, i) =>
    i > 0 && hold.token <= holds[i - 1]!.token
      ? [`token ${hold.token} of ${hold.worker} after ${holds[i - 1]!.token}`]
      : []
  )
  return check("tokens grow strictly from hold to hold", wrong, `${holds.length} holds`)
}

const nothingLost = (show: Show, resource: Resource): Check => {
  const times = new Map<string, number>()
  for (const write of resource.read()) times.set(write.id, (times.get(write.id) ?? 0) + 1)
  const accepted = resource.arrivals.filter((arrival) => arrival.accepted).map((arrival) => arrival.write.id)
  const wrong = [
    ...show.members
      .flatMap((member) => member.acknowledged)
      .filter((id) => times.get(id) !== 1)
      .map((id) => `${id} was acknowledged, and is there ${times.get(id) ?? 0} times`),
    ...accepted
      .filter((id) => times.get(id) !== 1)
      .map((id) => `${id} was accepted, and is there ${times.get(id) ?? 0} times`),
    ...(times.size === accepted.length ? [] : [`${times.size} writes are there, ${accepted.length} were accepted`])
  ]
  return check(
    "nothing is lost or doubled: each accepted write is in the file exactly once",
    wrong,
    `${times.size} writes in the file`
  )
}

const turns = (show: Show, resource: Resource): Check => {
  const written = resource.read()
  const wrong = show.members
    .filter((member) => member.name !== show.killed?.worker)
    .flatMap((member) => {
      const whole = Array.from({ length: show.turns }, (_, i) => i + 1).filter((turn) =>
        show.holds.some((hold) => {
          const mine = written.filter(
            (write) => write.token === hold.token && write.worker === member.name && write.turn === turn
          )
          return (
            hold.worker === member.name &&
            hold.turn === turn &&
            mine.length === show.appends + 2 &&
            mine[0]!.kind === "begin" &&
            mine[mine.length - 1]!.kind === "end"
          )
        })
      )
      return member.state === "done" && whole.length === show.turns
        ? []
        : [`${member.name} (${member.state}) had ${whole.length} of ${show.turns} whole turns`]
    })
  return check(
    "every worker but the killed one had all its turns, each whole in one hold",
    wrong,
    `${show.workers - 1} workers, ${show.turns} turns each`
  )
}

const takeover = (kind: "killed" | "frozen", fault: Fault | undefined): Check => {
  const name = `the lock of the ${kind} holder went on after its lease, not before`
  if (fault === undefined) return check(name, [`no holder was ${kind}`], "")
  if (fault.successor === undefined) return check(name, [`nobody took over from ${fault.worker}`], "")
  const after = fault.successor.begin - fault.until
  return check(
    name,
    after >= 0 ? [] : [`${fault.successor.worker} had it ${-after} ms before the lease of ${fault.worker} ended`],
    `${fault.successor.worker} took over from ${fault.worker} ${after} ms after the lease ended, by the storage's clock`
  )
}

const fenced = (fault: Fault | undefined): Check =>
  check(
    "the late write of the frozen holder was refused by the resource",
    fault?.lateWrite === undefined
      ? ["there was no late write"]
      : fault.lateWriteAccepted
        ? [`${fault.lateWrite.id} was accepted`]
        : [],
    `${fault?.lateWrite?.id} with token ${fault?.token}`
  )

/** Judges what happened by what is left: the file, the arrivals at the resource, and the storage's own times. */
export const verify = (show: Show, resource: Resource, free: boolean): ReadonlyArray<Check> => [
  serial(show, resource),
  tokens(show),
  nothingLost(show, resource),
  turns(show, resource),
  takeover("killed", show.killed),
  takeover("frozen", show.frozen),
  fenced(show.frozen),
  check("the lock is free at the end", free ? [] : ["somebody still holds it"], "the storage says so")
]
