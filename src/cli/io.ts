/** Where a command reads and writes: the process's own, or a test's. */
export interface Io {
  readonly env: NodeJS.ProcessEnv
  /** Writes a line of the result. */
  readonly out: (line: string) => void
  /** Writes a line for people. */
  readonly err: (line: string) => void
  /** Draws the whole terminal again; absent where there is none. */
  readonly draw: ((text: string) => void) | undefined
  /** Aborts at a signal that nobody listens for. */
  readonly signal: AbortSignal
  /** What this machine's clock says; a test has another. */
  readonly now?: (() => number) | undefined
  /** Takes the signals over. Returns what gives them back. */
  readonly onSignal: (listener: (signal: NodeJS.Signals) => void) => () => void
}
