/** Tries what programs do with a storage, step by step, on a lock of its own. */
import { randomUUID } from "node:crypto"
import type { Lock, Locks } from "../../promise/types.js"
import { codes } from "../codes.js"
import { codeOf } from "../failure.js"
import type { Told } from "./told.js"

const lease = 10_000

/** What a step found wrong, though it did not fail. */
interface Fault {
  readonly wrong: string
  readonly leads: string
  readonly cure: string
}

/** One that fails ends the trial: what follows could only fail as well. */
export class Ended extends Error {}

export type Step = <A>(name: string, work: () => Promise<A>, judge?: (result: A) => Fault | undefined) => Promise<A>

export const stepper =
  (tell: (told: Told) => void): Step =>
  async (check, work, judge = () => undefined) => {
    const start = performance.now()
    let result
    try {
      result = await work()
    } catch (error) {
      // What is wrong with the command line is no matter of the storage.
      if (codeOf(error) === codes.usage) throw error
      tell({ check, severity: "error", wrong: (error as Error).message, leads: "", cure: "" })
      throw new Ended()
    }
    const millis = performance.now() - start
    const fault = judge(result)
    tell(fault === undefined ? { check, severity: "ok", millis } : { check, severity: "error", ...fault })
    return result
  }

const notAStorage = "leave what stands between this machine and the storage out, and tell the makers of this library"

/** Throws `Ended` where it could not go on. */
export const trial = async (locks: Locks, step: Step): Promise<void> => {
  const lockId = `storage-lock-doctor/${randomUUID()}`
  const options = { leaseExpireAfter: lease, acquireTimeout: lease }
  const lock: Lock = await step("takes a lock", () => locks.acquire(lockId, options))
  await step(
    "keeps others out",
    () => locks.tryAcquire(lockId, options),
    (other) =>
      other === undefined
        ? undefined
        : {
            wrong: "two have the lock at once",
            leads: "locks do not lock: this storage does not compare and set",
            cure: notAStorage
          }
  )
  await step(
    "shows who has it",
    () => locks.get(lockId),
    (found) =>
      found?.token === lock.token
        ? undefined
        : { wrong: "it does not show this hold", leads: "who reads it reads what is old", cure: notAStorage }
  )
  await step("renews it", () => lock.renew())
  await step(
    "lists it",
    async () => {
      for await (const found of locks.list()) if (found.lockId === lockId) return true
      return false
    },
    (found) =>
      found
        ? undefined
        : {
            wrong: "it is not in the list",
            leads: "operators do not see who holds what",
            cure: "give the right to read all locks, as the page of the storage says"
          }
  )
  const waiting = locks.acquire(lockId, options)
  await new Promise((resolve) => setTimeout(resolve, 200))
  await step("frees it", () => lock.release())
  const next = await step(
    "hands it to who waits",
    () => waiting,
    ({ token }) =>
      token > lock.token
        ? undefined
        : {
            wrong: "the token did not grow",
            leads: "a resource cannot tell old holders from new ones",
            cure: notAStorage
          }
  )
  await next.release()
}
