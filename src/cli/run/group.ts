/** Signals to a command and to all that it has started. */

/** Of a process that leads a group of its own. Whether anybody was there. */
export const signalGroup = (pid: number, signal: NodeJS.Signals): boolean => {
  try {
    // Windows has no groups.
    process.kill(process.platform === "win32" ? pid : -pid, signal)
    return true
  } catch {
    return false
  }
}
