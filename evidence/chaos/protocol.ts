/** What the processes of a run say to each other. */

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
}

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
}
export type FromResource = { readonly id: number; readonly accepted: boolean; readonly highest: number }
