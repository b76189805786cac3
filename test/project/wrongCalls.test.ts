/** A wrong call is told in few words, at the place of the fault. */
import { assert, describe, it } from "#harness/vitest"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import Ts from "typescript"

const root = fileURLToPath(new URL("../../", import.meta.url))

const misspelt =
  "Object literal may only specify known properties, but 'acquireTimout' does not exist in type 'AcquireOptions'. Did you mean to write 'acquireTimeout'?"
const unreadable = "Type '\"5 secs\"' is not assignable to type 'DurationInput | undefined'."
const noString = "Argument of type 'number' is not assignable to parameter of type 'string'."
const optionsForId = "Argument of type '{ acquireTimeout: string; }' is not assignable to parameter of type 'string'."
const ofTheLayer = "Object literal may only specify known properties, and 'namespace' does not exist in type"
const noBody = "Argument of type 'number' is not assignable to parameter of type "
const workForOptions = 'Argument of type \'Effect<number, "e", "r">\' is not assignable to parameter of type \'string |'

/** A call, and how the one error begins that it gets. */
const calls: ReadonlyArray<readonly [call: string, message: string]> = [
  ["acquire(42)", noString],
  ["acquire()", "Expected 1-3 arguments, but got 0."],
  ['acquire({ acquireTimeout: "5 seconds" }, "id")', optionsForId],
  ...["acquire", "tryAcquire", "tryAcquireOrHolder"].flatMap((name) => [
    [`${name}("id", { acquireTimout: "5 seconds" })`, misspelt] as const,
    [`${name}("id", { acquireTimeout: "5 secs" })`, unreadable] as const,
    [`${name}("id", { namespace: "mine" })`, ofTheLayer] as const,
    [
      `${name}("id", "me", { ownerId: "me" })`,
      "Object literal may only specify known properties, and 'ownerId'"
    ] as const
  ]),
  ...["withLock", "withLockIfAvailable"].flatMap((name) => [
    [`${name}(work, 42)`, noString] as const,
    [`${name}(work)`, "Expected 2-4 arguments, but got 1."] as const,
    [`${name}(work, { acquireTimeout: "5 seconds" }, "id")`, optionsForId] as const,
    [`${name}(work, "id", { acquireTimout: "5 seconds" })`, misspelt] as const,
    [`${name}(work, "id", { acquireTimeout: "5 secs" })`, unreadable] as const,
    [`${name}(work, "id", { namespace: "mine" })`, ofTheLayer] as const,
    [`${name}("id", work)`, workForOptions] as const,
    [`${name}(42, "id")`, noBody] as const,
    [`${name}("id")(42)`, noBody] as const,
    [`work.pipe(${name}("id", { acquireTimout: "5 seconds" }))`, misspelt] as const,
    [`work.pipe(${name}("id", { acquireTimeout: "5 secs" }))`, unreadable] as const,
    [`work.pipe(${name}("id", "me", { namespace: "mine" }))`, ofTheLayer] as const
  ]),
  // These two have to say why a function is no body, in three more lines.
  ['withLock(async () => 1, "id")', "Argument of type '() => Promise<number>' is not assignable to parameter of type"],
  ['withLock((n: number) => work, "id")', "Argument of type '(n: number) => Effect"]
]

const program = `import * as Effect from "effect/Effect"
import * as StorageLock from "effect-storage-lock/StorageLock"
declare const work: Effect.Effect<number, "e", "r">
const { acquire, tryAcquire, tryAcquireOrHolder, withLock, withLockIfAvailable } = StorageLock
`

/** What the compiler says of each call, by its line. */
const errors = (): ReadonlyMap<number, ReadonlyArray<string>> => {
  const { config } = Ts.readConfigFile(Path.join(root, "tsconfig.json"), Ts.sys.readFile)
  const { options } = Ts.parseJsonConfigFileContent(config, Ts.sys, root)
  const host = Ts.createCompilerHost(options)
  const file = Path.join(root, "examples", "wrongCalls.ts")
  const text = program + calls.map(([call]) => `${call}\n`).join("")
  const { fileExists, getSourceFile, readFile } = host
  host.fileExists = (name) => name === file || fileExists(name)
  host.readFile = (name) => (name === file ? text : readFile(name))
  host.getSourceFile = (name, version, ...rest) =>
    name === file ? Ts.createSourceFile(name, text, version, true) : getSourceFile(name, version, ...rest)
  const compiled = Ts.createProgram([file], { ...options, noUnusedLocals: false, noUnusedParameters: false }, host)
  const found = new Map<number, Array<string>>()
  for (const error of Ts.getPreEmitDiagnostics(compiled, compiled.getSourceFile(file))) {
    const line = error.file!.getLineAndCharacterOfPosition(error.start!).line - program.split("\n").length + 1
    found.set(line, [...(found.get(line) ?? []), Ts.flattenDiagnosticMessageText(error.messageText, "\n")])
  }
  return found
}

describe("a wrong call", () => {
  it("gets one error, which names its fault", () => {
    const found = errors()
    const otherwise = calls.flatMap(([call, message], index) => {
      const [error, ...more] = found.get(index) ?? []
      const longest = call.includes("=>") ? 4 : 1
      return error?.startsWith(message) && error.split("\n").length <= longest && more.length === 0
        ? []
        : [{ call, error, more }]
    })
    assert.deepStrictEqual(otherwise, [])
    assert.strictEqual(found.size, calls.length)
  }, 120_000)
})
