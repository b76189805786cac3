// Plain JavaScript, because the watchdog runs it without a compiler.
import { execFileSync } from "node:child_process"
import { readdirSync, readFileSync, readlinkSync, rmSync } from "node:fs"
import { sep } from "node:path"

// A server's processes are found by their working directory: that also finds the children that its parent left behind.
const byWorkingDirectory = (directory) => {
  const pids = []
  for (const entry of readdirSync("/proc")) {
    if (!/^\d+$/.test(entry)) continue
    try {
      const cwd = readlinkSync(`/proc/${entry}/cwd`)
      if (cwd === directory || cwd.startsWith(directory + sep)) pids.push(Number(entry))
    } catch {
      // ended meanwhile, or not ours to look at
    }
  }
  return pids
}

const byParent = (roots) => {
  const rows = execFileSync("ps", ["-A", "-o", "pid=,ppid="], { encoding: "utf8" })
    .trim()
    .split("\n")
    .map((row) => row.trim().split(/\s+/).map(Number))
  const found = new Set(rows.map(([pid]) => pid).filter((pid) => roots.includes(pid)))
  for (let size = -1; size !== found.size;) {
    size = found.size
    for (const [pid, parent] of rows) if (found.has(parent)) found.add(pid)
  }
  return Array.from(found)
}

export const members = (directory, started) => {
  const pids = process.platform === "linux" ? byWorkingDirectory(directory) : byParent(started)
  // The server's first process comes first, so that it starts no new child while the others are signalled.
  return pids
    .filter((pid) => pid !== process.pid)
    .sort((a, b) => Number(started.includes(b)) - Number(started.includes(a)))
}

export const signal = (directory, started, name) => {
  const pids = members(directory, started)
  for (const pid of pids) {
    try {
      process.kill(pid, name)
    } catch {
      // ended meanwhile
    }
  }
  return pids.length
}

/** Whether every thread stands still: a signal that stops is on its way for a moment. Where it cannot be seen, it is taken for granted. */
export const areStopped = (directory, started) =>
  process.platform !== "linux" ||
  members(directory, started).every((pid) => {
    try {
      return readdirSync(`/proc/${pid}/task`).every((thread) =>
        // Behind the name, which may contain anything.
        /^ [TtZX]/.test(readFileSync(`/proc/${pid}/task/${thread}/stat`, "utf8").replace(/^.*\)/s, ""))
      )
    } catch {
      // one of them has ended meanwhile
      return false
    }
  })

const pause = (millis) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, millis)

export const destroy = (directory, started) => {
  for (let attempt = 0; attempt < 200 && signal(directory, started, "SIGKILL") > 0; attempt++) pause(10)
  rmSync(directory, { recursive: true, force: true, maxRetries: 10, retryDelay: 20 })
}
