/** What the processes of a run say to each other. */
import type { Access } from "../simulate/history.js"

export interface WorkerConfig {
  /** `w2.5`: the fifth process in the second place. */
  readonly name: string
  readonly place: number
  /** So that attempts of all processes have numbers of their own. */
  readonly firstAttempt: number
  readonly storage: string
  /** What the storage's entry makes its layer from. */
  readonly storageConfig: StorageConfig
  readonly resourcePort: number
  readonly log: string
  /** Of the common clock. */
  readonly base: string
  readonly seed: string
  readonly lease: number
  readonly margin: number
  readonly locks: ReadonlyArray<string>
  readonly fibers: number
  readonly kind: Kind
  readonly wrong: Wrong | undefined
}

/** Which kind of lock: or exclusive ones, taken by candidates of an election. */
export type Kind = "exclusive" | "readWrite" | "semaphore" | "leader"
export const kinds: ReadonlyArray<Kind> = ["exclusive", "readWrite", "semaphore", "leader"]

/** What workers do wrong on purpose, so that the judge has something to find. */
export type Wrong =
  /** Go on after a loss, as if it had not been told. */
  | "deaf"
  /** Go in with less than they need: write with a hold for reading, use all permits with one. */
  | "sneaks"
export const wrongs: ReadonlyArray<Wrong> = ["deaf", "sneaks"]

/** `url` leads through the worker's own proxy, where there is a network. */
export interface StorageConfig {
  readonly url: string
}

export type ToWorker =
  /** Contend, until told to finish. */
  | { readonly type: "go" }
  /** End what is under way, have each lock once more, and say `idle`. */
  | { readonly type: "finish" }
  /** Block the event loop. */
  | { readonly type: "block"; readonly millis: number }
  | { readonly type: "close" }

export type FromWorker =
  | { readonly type: "ready" }
  | { readonly type: "idle" }
  | { readonly type: "closed" }
  /** How many locks it surely has. */
  | { readonly type: "holding"; readonly count: number }

export type ToResource = {
  readonly p: string
  readonly id: number
  readonly lock: string
  readonly hold: string
  readonly token: number
  readonly sent: number
  readonly access?: Access | undefined
}
export type FromResource = { readonly id: number; readonly accepted: boolean; readonly highest: number }
