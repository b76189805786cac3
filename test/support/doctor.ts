/** `storage-lock doctor` in this process, and what it says. */
import * as Effect from "#effect/Effect"
import { cli } from "../../src/cli/cli.js"

export interface Said {
  readonly check: string
  readonly severity: "error" | "warning" | "note" | "unchecked" | "ok"
  readonly wrong?: string
  readonly leads?: string
  readonly cure?: string
  readonly why?: string
}

export interface Examined {
  readonly code: number
  /** As people read it. */
  readonly text: string
  readonly said: ReadonlyArray<Said>
  readonly verdict: string
  /** The findings of a check. */
  readonly of: (check: string) => ReadonlyArray<Said>
}

const run = async (url: string, args: ReadonlyArray<string>, now?: () => number) => {
  let out = ""
  const code = await cli(["doctor", ...args], {
    env: { STORAGE_LOCK_URL: url },
    out: (line) => (out += `${line}\n`),
    err: (line) => (out += `${line}\n`),
    draw: undefined,
    signal: new AbortController().signal,
    onSignal: () => () => {},
    now
  })
  return { code, out }
}

/** `now`: this machine's clock. */
export const doctor = (url: string, args: ReadonlyArray<string> = [], now?: () => number): Effect.Effect<Examined> =>
  Effect.promise(async () => {
    const { code, out } = await run(url, ["--json", ...args], now)
    const all = out
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Said & { readonly verdict?: string })
    const said = all.slice(0, -1)
    return {
      code,
      text: out,
      said,
      verdict: String(all.at(-1)?.verdict),
      of: (check) => said.filter((each) => each.check === check && each.severity !== "ok")
    }
  })

/** As people read it. */
export const read = (url: string, args: ReadonlyArray<string> = []): Effect.Effect<string> =>
  Effect.promise(async () => (await run(url, args)).out)
