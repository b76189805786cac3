/** Runs the workers, is the resource to them, kills one holder and freezes another. */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Runtime from "effect/Runtime"
import { fork } from "node:child_process"
import { fileURLToPath } from "node:url"
import { StorageLock } from "../../src/index.js"
import type { FromWorker, Task, ToWorker } from "./protocol.js"
import type { Resource } from "./resource.js"
import type { Event, Fault, Member, Show } from "./show.js"

const workerFile = fileURLToPath(new URL("./worker.ts", import.meta.url))

const spawn = (name: string) =>
  Effect.acquireRelease(
    Effect.sync((): Member => ({
      name,
      process: fork(workerFile, [], { stdio: ["ignore", "ignore", "inherit", "ipc"] }),
      state: "starting",
      since: Date.now(),
      turnsDone: 0,
      accepted: 0,
      refused: 0,
      acknowledged: []
    })),
    // Also ends one that is frozen.
    (member) => Effect.sync(() => void member.process.kill("SIGKILL"))
  )

export const workerNames = (count: number): ReadonlyArray<string> =>
  Array.from({ length: count }, (_, i) => `worker-${i + 1}`)

export const start = (workers: number) => Effect.forEach(workerNames(workers), spawn)

const gone = (member: Member) => ["killed", "done", "failed"].includes(member.state)

/** Ends when every worker is done or dead. */
export const play = (
  show: Show,
  task: Omit<Task, "name">,
  resource: Resource,
  emit: (event: Event) => void
): Effect.Effect<void, never, StorageLock.StorageLock> =>
  Effect.gen(function* () {
    const run = Runtime.runFork(yield* Effect.runtime<StorageLock.StorageLock>())
    const over = yield* Deferred.make<void>()
    const say = (member: Member, message: ToWorker) => void (member.process.connected && member.process.send(message))
    const enter = (member: Member, state: Member["state"]) => {
      member.state = state
      member.since = Date.now()
      if (show.members.every(gone)) Deferred.unsafeDone(over, Effect.void)
    }
    let ready = 0

    const completed = () => show.holds.filter((hold) => hold.released).length
    const total = show.workers * show.turns
    const firstFault = Math.min(6, Math.floor(total / 6))
    const betweenFaults = Math.min(5, Math.max(1, Math.floor(total / 6)))
    const hasRivals = (member: Member, count: number) =>
      show.members.filter((other) => other !== member && !gone(other)).length >= count
    const shouldKill = (member: Member) =>
      show.killed === undefined && completed() >= firstFault && hasRivals(member, 2)
    const shouldFreeze = (member: Member) =>
      show.killed?.successor !== undefined &&
      show.frozen === undefined &&
      hasRivals(member, 1) &&
      (completed() >= firstFault + betweenFaults || !hasRivals(member, 2))

    /** Its lease end in the storage's own words, once it can do nothing any more. */
    const fault = (member: Member, kind: "killed" | "frozen", token: number): Fault => {
      member.process.kill(kind === "killed" ? "SIGKILL" : "SIGSTOP")
      enter(member, kind)
      const made: Fault = { worker: member.name, token, until: show.holds.find((hold) => hold.token === token)!.until }
      run(
        StorageLock.get(task.lockId).pipe(
          Effect.tap((found) =>
            Effect.sync(() => {
              if (Option.isSome(found) && found.value.token === token)
                made.until = found.value.leaseExpireTime.epochMillis
              emit({ event: kind, worker: member.name, token, until: made.until })
            })
          ),
          Effect.catchAll((error) =>
            Effect.sync(() => emit({ event: "failed", worker: "the observer", message: error.message }))
          )
        )
      )
      return made
    }

    const thaw = (member: Member, frozen: Fault) => {
      enter(member, "holding")
      member.process.kill("SIGCONT")
      emit({ event: "thawed", worker: member.name, token: frozen.token })
    }

    const onWrite = (member: Member, { write }: Extract<FromWorker, { type: "write" }>) => {
      const accepted = resource.write(write)
      if (accepted) member.accepted++
      else member.refused++
      emit({
        event: "write",
        id: write.id,
        worker: write.worker,
        kind: write.kind,
        token: write.token,
        accepted,
        highest: resource.highest()
      })
      const frozen = show.frozen
      if (frozen !== undefined && frozen.worker === member.name && frozen.token === write.token) {
        frozen.lateWrite = write
        frozen.lateWriteAccepted = accepted
      }
      if (write.kind === "append" && accepted) {
        if (shouldKill(member)) {
          show.killed = fault(member, "killed", write.token)
          return
        }
        if (shouldFreeze(member)) show.frozen = fault(member, "frozen", write.token)
      }
      // A frozen one reads it when it is woken.
      say(member, { type: "answer", id: write.id, accepted, highest: resource.highest() })
      const sleeper = show.members.find((other) => other.state === "frozen")
      if (
        frozen !== undefined &&
        sleeper !== undefined &&
        accepted &&
        write.token > frozen.token &&
        write.kind === "append"
      ) {
        thaw(sleeper, frozen)
      }
    }

    const onMessage = (member: Member, message: FromWorker): void => {
      switch (message.type) {
        case "ready":
          // Together, or the first to be up would be through before the last is there.
          if (++ready === show.members.length) {
            for (const one of show.members) say(one, { type: "start", task: { ...task, name: one.name } })
          }
          return
        case "waiting":
          enter(member, "waiting")
          return emit({ event: "waiting", worker: member.name, turn: message.turn })
        case "acquired": {
          const { type: _, ...rest } = message
          const hold = { worker: member.name, ...rest, released: false }
          show.holds.push(hold)
          enter(member, "holding")
          emit({ event: "acquired", worker: member.name, ...rest })
          for (const fault of [show.killed, show.frozen]) {
            if (fault === undefined || fault.successor !== undefined || hold.token <= fault.token) continue
            fault.successor = hold
            emit({
              event: "takeover",
              worker: hold.worker,
              token: hold.token,
              from: fault.worker,
              afterLeaseEndMillis: hold.begin - fault.until
            })
          }
          return
        }
        case "write":
          return onWrite(member, message)
        case "released": {
          member.turnsDone++
          const hold = show.holds.find((one) => one.token === message.token)
          if (hold !== undefined) hold.released = true
          enter(member, "resting")
          return emit({ event: "released", worker: member.name, turn: message.turn, token: message.token })
        }
        case "lost":
          return emit({ event: "lost", worker: member.name, token: message.token, reason: message.reason })
        case "done":
          member.acknowledged = message.acknowledged
          emit({ event: "done", worker: member.name })
          return enter(member, "done")
        case "failed":
          emit({ event: "failed", worker: member.name, message: message.message })
          return enter(member, "failed")
      }
    }

    for (const member of show.members) {
      member.process.on("message", (message) => onMessage(member, message as FromWorker))
      member.process.on("exit", (code, signal) => {
        if (gone(member)) return
        emit({ event: "failed", worker: member.name, message: `ended with ${signal ?? `code ${code}`}` })
        enter(member, "failed")
      })
    }

    /** The lock as the storage shows it to anybody. */
    const observe = StorageLock.get(task.lockId).pipe(
      Effect.map((found) => {
        show.holder = Option.match(found, {
          onNone: () => undefined,
          onSome: (lock) => ({ worker: lock.ownerLabel, token: lock.token, until: lock.leaseExpireTime.epochMillis })
        })
      }),
      Effect.ignore,
      Effect.delay("100 millis"),
      Effect.forever
    )
    yield* Effect.raceFirst(Deferred.await(over), observe)
  })
