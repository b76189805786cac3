/** Programs of this repository in processes of their own. Waited for asynchronously: a test runner that hears nothing of a worker for a minute gives it up. */
import { type ChildProcess, spawn, type SpawnOptions } from "node:child_process"
import { once } from "node:events"

export const start = (file: string, args: ReadonlyArray<string>, options: SpawnOptions = {}): ChildProcess =>
  spawn(process.execPath, ["--import", "tsx", file, ...args], { stdio: ["ignore", "pipe", "pipe"], ...options })

export const ended = async (child: ChildProcess) => {
  let stdout = ""
  let stderr = ""
  child.stdout!.setEncoding("utf8").on("data", (chunk: string) => stdout += chunk)
  child.stderr!.setEncoding("utf8").on("data", (chunk: string) => stderr += chunk)
  const [code] = await once(child, "close")
  return { code, stdout, stderr }
}
