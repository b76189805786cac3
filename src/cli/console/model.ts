/** What the console tells, as programs and the page read it. Times are ISO 8601 in UTC, lengths of time are milliseconds. */
import { boolean, integer, list, number, object, type Of, oneOf, text, time } from "./schema.js"

const hold = {
  lockId: text("Any text of up to 255 UTF-16 units: show it as text, never as markup."),
  ownerId: text("Empty if an operator has revoked the lock and its lease has not yet ended."),
  ownerLabel: text("Who the holder is, for people: by default host name and process id. Empty if it tells nothing."),
  token: integer("The fencing token. It grows with every new hold.", { minimum: 0 }),
  lockBeginTime: time("Since when it is held, by the storage's clock."),
  leaseExpireTime: time("When the lease ends unless it is renewed, by the storage's clock.")
}

const as = {
  mode: oneOf("Of a read-write lock: what it may do. `upgradable` reads, and may become a writer.", [
    "read",
    "upgradable",
    "write"
  ]),
  permits: integer("Of a semaphore: how many of them it has.", { minimum: 1 })
}

const { lockId: _, ...held } = hold

const left = {
  isRevoked: boolean("An operator has taken it from its holder, and it stays blocked until its lease ends."),
  heldFor: number("For how long it has been held.", { minimum: 0 }),
  leaseLeft: number("What was left of the lease when the console looked.", { minimum: 0 }),
  leaseLength: number("The most that the console has seen to be left of this hold's lease.", { minimum: 0 })
}

export const holder = object(
  "One of those who hold a read-write lock or permits of a semaphore.",
  { ...held, ...left },
  as
)
export type Holder = Of<typeof holder>

export const lock = object(
  "A lock that somebody holds. If several do, owner, token and times are those of the oldest hold.",
  {
    ...hold,
    kind: text("`exclusive`, `readWrite`, `semaphore`, or the kind of a program of its own."),
    version: integer("Grows with every change of the lock.", { minimum: 0 }),
    lockCount: integer("How many times its owner holds it.", { minimum: 0 }),
    ...left,
    handOvers: integer(
      "How often the console saw it go from one hold to the next between two looks. A sign that others wait for it.",
      { minimum: 0 }
    )
  },
  {
    holders: list("Of a lock that several may hold: who they are, oldest first, the first hundred of them.", holder),
    holderCount: integer("How many they are in all.", { minimum: 0 })
  }
)
export type Lock = Of<typeof lock>

/** Ends of holds that nobody wished for. */
export const losses = ["expired", "revoked", "unseen"] as const
export const kinds = ["held", "released", ...losses] as const

export const change = object(
  "What has changed between two looks, for each hold of a lock by itself. For all but `held` it tells of a hold that is over, as it was last seen.",
  {
    at: time("When the console saw it, by the clock of its machine."),
    kind: oneOf(
      "`held`: somebody newly has the lock. `released`: it was given back, or an operator elsewhere freed it at once. `expired`: it was not renewed, and its lease ran out. `revoked`: an operator took it away. `unseen`: it ended after its lease could have run out between two looks, so that nobody can say how.",
      kinds
    ),
    ...hold
  },
  { ...as, nextToken: integer("The token of the hold that had the lock at the next look, if one had.") }
)
export type Change = Of<typeof change>

export const storage = object(
  "How the storage is.",
  {
    name: text("Which one it is: its URL without user, password and options."),
    status: oneOf("`starting`: it has not answered yet. `failing`: it does not answer now.", [
      "starting",
      "ok",
      "failing"
    ]),
    since: time("Since when it is so."),
    looks: integer("How many looks have been answered.", { minimum: 0 })
  },
  {
    error: text("Why it does not answer."),
    lastLook: time("When it answered last."),
    latency: number("How long the last answered look took.", { minimum: 0 }),
    median: number("The median of the last looks, a hundred and twenty at most.", { minimum: 0 }),
    worst: number("The worst of these.", { minimum: 0 }),
    clockAhead: number("By how much its clock is surely ahead of this machine's; negative if it is behind.")
  }
)
export type Storage = Of<typeof storage>

export const state = object("All that the console knows.", {
  at: time("When this was told, by the clock of the console's machine."),
  version: text("Of the console."),
  namespace: text("The namespace of the locks. Empty for none."),
  canWrite: boolean("Whether the console was started with `--write`."),
  every: number("How often it looks while somebody watches.", { minimum: 0 }),
  storage,
  locks: list("By their ids.", lock),
  isCut: boolean("There are more locks than the console shows; what happens to the others is not seen."),
  lost: list(
    "Holds that were lost lately, as far as the console has seen it. The latest first, fifty at most.",
    change
  ),
  latencies: list("Of the last looks, the oldest first.", number("In milliseconds.", { minimum: 0 }))
})
export type State = Of<typeof state>

export const look = object("One look, by what differs from the one before.", {
  at: time("When it ended, by the clock of the console's machine."),
  storage,
  set: list("Locks that are new or have changed, renewals among them.", lock),
  gone: list("Ids of locks that nobody holds any more.", text("A lock id.")),
  changes: list("What this means.", change),
  isCut: boolean("As in the state.")
})
export type Look = Of<typeof look>

export const wish = object("Which hold is to be taken away, and how.", {
  token: integer(
    "The fencing token of the hold that is meant. If it is over by now, nothing happens; other holds of the lock go on.",
    {
      minimum: 1,
      maximum: Number.MAX_SAFE_INTEGER
    }
  ),
  when: oneOf(
    "`leaseEnd`: nobody can have the lock before its lease ends. It is safe, because the holder notices before that. `now`: it is free at once, and its former holder may go on until its next renewal.",
    ["leaseEnd", "now"]
  )
})
export type Wish = Of<typeof wish>

export const released = object(
  "The hold was taken away.",
  { lockId: text("The lock."), token: integer("The hold."), when: oneOf("As asked.", ["leaseEnd", "now"]) },
  { freeAt: time("When the lock becomes free at the latest, by the storage's clock. Absent if it is free already.") }
)
export type Released = Of<typeof released>

export const health = object("Whether the storage answers.", {
  status: oneOf("In one word.", ["ok", "failing"]),
  storage
})
export type Health = Of<typeof health>

export const problem = object("Why it was not done.", {
  code: oneOf("For programs.", [
    "INVALID_LOCK_ID",
    "INVALID_REQUEST",
    "UNAUTHORIZED",
    "READ_ONLY",
    "FOREIGN_ORIGIN",
    "UNKNOWN_HOST",
    "NOT_FOUND",
    "NOT_HELD",
    "HOLD_IS_OVER",
    "METHOD",
    "TOO_LARGE",
    "TOO_MANY",
    "STORAGE",
    "FAULT"
  ]),
  message: text("For people.")
})
export type Problem = Of<typeof problem>

/** What has a name of its own in the document. */
export const named = {
  State: state,
  Lock: lock,
  Holder: holder,
  Change: change,
  Storage: storage,
  Look: look,
  Wish: wish,
  Released: released,
  Health: health,
  Problem: problem
}
