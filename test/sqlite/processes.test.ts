import { afterAll, beforeAll, describe, expect, it } from "#harness/vitest"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import * as program from "../support/program.js"

const child = program.bundled(new URL("./child.ts", import.meta.url))

const start = async (filename: string, owner: string, rounds: number) => {
  const process_ = spawn(process.execPath, [child(), filename, owner, String(rounds)], {
    stdio: ["pipe", "pipe", "inherit"]
  })
  const lines = createInterface({ input: process_.stdout })[Symbol.asyncIterator]()
  expect((await lines.next()).value).toBe("ready")
  return {
    go: (begin: number) => process_.stdin.end(`${begin}\n`),
    result: async (): Promise<{ readonly won?: Array<string>; readonly failed?: string }> => {
      const line = (await lines.next()).value as string
      if (process_.exitCode === null) await once(process_, "exit")
      return JSON.parse(line)
    }
  }
}

let directory: string
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "storage-lock-"))
})
afterAll(() => rmSync(directory, { recursive: true, force: true }))

describe("SqliteStorage over processes", () => {
  it("many processes open one new file at once, and each lock has one winner that all of them name", async () => {
    const rounds = 100
    const owners = ["one", "two", "three", "four", "five", "six"]
    const children = await Promise.all(owners.map((owner) => start(join(directory, "race.db"), owner, rounds)))
    const begin = Date.now() + 200
    for (const one of children) one.go(begin)
    const results = await Promise.all(children.map((one) => one.result()))

    expect(results.map((result) => result.failed)).toEqual(owners.map(() => undefined))
    const named = Array.from({ length: rounds }, (_, round) => new Set(results.map((result) => result.won![round])))
    expect(named.filter((names) => names.size !== 1)).toEqual([])
    const winners = new Set(named.flatMap((names) => [...names]))
    expect([...winners].filter((name) => !owners.includes(name!))).toEqual([])
    // Otherwise it was no race.
    expect(winners.size).toBeGreaterThan(1)
  })
})
