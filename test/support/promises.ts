/** Locks as promises, over a storage of the test. */
import * as Effect from "#effect/Effect"
import * as Layer from "#effect/Layer"
import { type Ports, portsOf } from "../../src/backends/shared/layers.js"
import * as MemoryStorage from "../../src/backends/memory/MemoryStorage.js"
import { connect, type ConnectOptions, type Locks } from "../../src/promise/index.js"
import * as Storage from "../../src/Storage.js"
import * as faulty from "./faulty.js"

export const memory = (): Storage.Service => Effect.runSync(MemoryStorage.make())

/** The same for locks of all kinds. */
export const ports = (): Ports => Effect.runSync(MemoryStorage.makePorts())

/** As one process of several. Closed by `await using`. */
export const locksOn = (on: Storage.Service | Ports, options?: ConnectOptions): Promise<Locks> =>
  connect("versioned" in on ? portsOf(Effect.succeed(on)) : Layer.succeed(Storage.Storage, on), {
    log: false,
    ...options
  })

/** A storage whose faults the test chooses. */
export const failing = () => {
  const { calls, set, storage } = faulty.make(memory())
  return {
    storage,
    calls,
    set: (operations: ReadonlyArray<faulty.Operation>, fault: faulty.Fault | undefined) =>
      Effect.runSync(set(operations, fault))
  }
}

/** What a promise is rejected with. */
export const rejected = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    (value) => {
      throw new Error(`it was fulfilled: ${String(value)}`)
    },
    (error: unknown) => error
  )

/** Until it is so; a limit of the test ends one that hangs. */
export const until = async (isSo: () => boolean | Promise<boolean>): Promise<void> => {
  while (!(await isSo())) await new Promise((resolve) => setTimeout(resolve, 5))
}
