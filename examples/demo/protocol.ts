/** What the demo's processes say to each other. */

export type StorageChoice =
  { readonly kind: "sqlite"; readonly filename: string } | { readonly kind: "postgres"; readonly url: string }

/** What a worker is to do. */
export interface Task {
  readonly name: string
  readonly storage: StorageChoice
  readonly lockId: string
  readonly leaseMillis: number
  readonly turns: number
  /** Appends per turn, between a begin and an end. */
  readonly appends: number
  readonly pauseMillis: number
}

export interface Write {
  readonly id: string
  readonly worker: string
  readonly turn: number
  readonly token: number
  readonly kind: "begin" | "append" | "end"
}

export type ToWorker =
  | { readonly type: "start"; readonly task: Task }
  | { readonly type: "answer"; readonly id: string; readonly accepted: boolean; readonly highest: number }

/** Times are milliseconds since the epoch, by the storage's clock. */
export type FromWorker =
  | { readonly type: "ready" }
  | { readonly type: "waiting"; readonly turn: number }
  | {
      readonly type: "acquired"
      readonly turn: number
      readonly token: number
      readonly begin: number
      readonly until: number
    }
  | { readonly type: "write"; readonly write: Write }
  | { readonly type: "lost"; readonly token: number; readonly reason: string }
  | { readonly type: "released"; readonly turn: number; readonly token: number }
  | { readonly type: "done"; readonly acknowledged: ReadonlyArray<string> }
  | { readonly type: "failed"; readonly message: string }
