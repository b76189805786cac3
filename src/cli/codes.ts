/** How the command ends, as sysexits.h has it where it says something. */
export const codes = {
  ok: 0,
  /** `get`: nobody has the lock. `release`: that hold is over already. `doctor`: something is wrong. */
  no: 1,
  usage: 64,
  /** The storage cannot be used. */
  storage: 69,
  /** The lock was lost, and the command was ended for it. */
  lost: 70,
  /** Somebody else has the lock. */
  busy: 75,
  cannotRun: 126,
  notFound: 127
} as const

/** Ended by a signal, as shells tell it. */
export const ofSignal = (signal: number): number => 128 + signal
