/** What the process that holds the lock and the one that has the command say to each other. */

/** A moment by both clocks of this machine, in milliseconds. All its processes have the same. */
export interface Moment {
  /** Stands still while the machine is suspended. */
  readonly monotonic: number
  /** May be set. */
  readonly wall: number
}

const now = (): Moment => ({ monotonic: Number(process.hrtime.bigint()) / 1e6, wall: Date.now() })

export const after = (millis: number): Moment => {
  const { monotonic, wall } = now()
  return { monotonic: monotonic + millis, wall: wall + millis }
}

/** How long it is until then. Whichever clock says that it is over is believed: after a suspend it is the wall clock. */
export const until = (moment: Moment): number => {
  const { monotonic, wall } = now()
  return Math.min(moment.monotonic - monotonic, moment.wall - wall)
}

export type ToGuard =
  | {
      readonly type: "start"
      readonly command: string
      readonly args: ReadonlyArray<string>
      readonly env: NodeJS.ProcessEnv
      /** Between TERM and KILL, in milliseconds. */
      readonly grace: number
      readonly held: Moment
    }
  /** The lock is surely held until then. */
  | { readonly type: "held"; readonly held: Moment }
  | { readonly type: "signal"; readonly signal: NodeJS.Signals }
  /** It is lost. */
  | { readonly type: "lost" }

export type FromGuard =
  | { readonly type: "started"; readonly pid: number }
  | { readonly type: "failed"; readonly code: string | undefined; readonly message: string }
  /** `forced`: it was ended for the lock's sake. */
  | {
      readonly type: "ended"
      readonly code: number | null
      readonly signal: NodeJS.Signals | null
      readonly forced: boolean
    }
