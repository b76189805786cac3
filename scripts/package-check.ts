/**
 * Is what would be published of use to those who install it? Packs the package, has publint and arethetypeswrong judge it, then installs it into
 * projects outside of this one, which have effect and at most one driver, compiles a program there as strictly as can be, and runs it.
 */
import * as Effect from "effect/Effect"
import { spawnSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import * as Postgres from "../test/harness/postgres.js"
import { required } from "../test/harness/server.js"

const root = fileURLToPath(new URL("../", import.meta.url))
const manifest = JSON.parse(Fs.readFileSync(Path.join(root, "package.json"), "utf8")) as {
  name: string
  devDependencies: Record<string, string>
  allowScripts: Record<string, boolean>
}

const results: Array<{ readonly name: string; readonly passed: boolean }> = []

const run = (command: string, args: ReadonlyArray<string>, cwd = root, env: Record<string, string> = {}): string => {
  const done = spawnSync(command, args, { cwd, encoding: "utf8", env: { ...process.env, ...env }, maxBuffer: 1 << 26 })
  if (done.status !== 0) {
    throw new Error(`${command} ${args.join(" ")}\n${done.error?.message ?? ""}${done.stdout}${done.stderr}`)
  }
  return done.stdout
}

const step = <A>(name: string, act: () => A): A | undefined => {
  const start = Date.now()
  let passed = false
  try {
    const result = act()
    passed = true
    return result
  } catch (error) {
    console.error(error instanceof Error ? error.message : error)
    return undefined
  } finally {
    results.push({ name, passed })
    console.log(`${passed ? "passed" : "FAILED"}  ${name} (${((Date.now() - start) / 1000).toFixed(1)} s)`)
  }
}

interface Consumer {
  readonly name: string
  /** Besides effect. */
  readonly needs: ReadonlyArray<string>
  /** What must not have come along. */
  readonly without: ReadonlyArray<string>
  readonly env?: Record<string, string> | undefined
  readonly runs: boolean
}

/** The same versions as in development; also the driver's own peers, or npm takes the newest that fit. */
const versions = (names: ReadonlyArray<string>) =>
  Object.fromEntries(names.map((name) => [name, manifest.devDependencies[name]!]))

const resolutions = { nodenext: ["NodeNext", "NodeNext"], bundler: ["ESNext", "Bundler"] } as const

const consume = (work: string, tarball: string, consumer: Consumer): void => {
  const project = Path.join(work, consumer.name)
  const installed = step(`${consumer.name}: installs`, () => {
    Fs.mkdirSync(project)
    Fs.copyFileSync(Path.join(root, "scripts/package-check", `${consumer.name}.ts`), Path.join(project, "main.ts"))
    Fs.writeFileSync(
      Path.join(project, "package.json"),
      JSON.stringify({
        name: "consumer",
        private: true,
        type: "module",
        dependencies: { [manifest.name]: `file:${tarball}`, ...versions(["effect", ...consumer.needs]) },
        devDependencies: versions(["typescript", "@types/node"]),
        allowScripts: manifest.allowScripts
      })
    )
    run("npm", ["install", "--no-audit", "--no-fund", "--prefer-offline", "--loglevel=error"], project)
    for (const name of consumer.without) {
      if (Fs.existsSync(Path.join(project, "node_modules", name))) throw new Error(`${name} came along`)
    }
    return true
  })
  if (installed === undefined) return
  for (const [name, [module, moduleResolution]] of Object.entries(resolutions)) {
    step(`${consumer.name}: compiles under ${name}, with its dependencies' types checked`, () => {
      Fs.writeFileSync(
        Path.join(project, `tsconfig.${name}.json`),
        JSON.stringify({
          compilerOptions: {
            module,
            moduleResolution,
            target: "ES2022",
            lib: ["ES2022", "DOM"],
            types: ["node"],
            strict: true,
            exactOptionalPropertyTypes: true,
            skipLibCheck: false,
            outDir: name
          },
          files: ["main.ts"]
        })
      )
      run("npx", ["--no-install", "tsc", "-p", `tsconfig.${name}.json`], project)
    })
  }
  if (consumer.runs) {
    step(`${consumer.name}: runs`, () => run(process.execPath, ["nodenext/main.js"], project, consumer.env))
  }
}

const program = Effect.gen(function*() {
  const work = yield* Effect.acquireRelease(
    Effect.sync(() => Fs.realpathSync(Fs.mkdtempSync(Path.join(Os.tmpdir(), "storage-lock-package-")))),
    (work) => Effect.sync(() => Fs.rmSync(work, { recursive: true, force: true }))
  )
  const tarball = step("builds and packs", () => {
    run("npm", ["run", "build"])
    const [packed] = JSON.parse(run("npm", ["pack", "--json", "--ignore-scripts", "--pack-destination", work])) as [
      { filename: string; files: ReadonlyArray<{ path: string }> }
    ]
    const stray = packed.files.filter(({ path }) => !/^(dist\/|src\/|docs\/|examples\/|bench\/RESULTS\.md$|package\.json$|README\.md$|LICENSE$)/.test(path))
    if (stray.length > 0) throw new Error(`these would be published too: ${stray.map((_) => _.path).join(", ")}`)
    for (const needed of ["README.md", "LICENSE", "dist/index.js", "dist/index.d.ts"]) {
      if (!packed.files.some(({ path }) => path === needed)) throw new Error(`${needed} is missing`)
    }
    return Path.join(work, packed.filename)
  })
  if (tarball === undefined) return
  step("publint", () => run("npx", ["--no-install", "publint", "run", tarball, "--strict"]))
  step("arethetypeswrong", () => run("npx", ["--no-install", "attw", tarball, "--profile", "esm-only"]))

  const drivers = ["pg", "better-sqlite3", "@effect/sql", "@effect/vitest", "vitest"]
  consume(work, tarball, { name: "core", needs: [], without: drivers, runs: true })
  consume(work, tarball, {
    name: "sqlite",
    needs: ["@effect/sql-sqlite-node", "@effect/sql", "@effect/experimental", "@effect/platform"],
    without: ["pg", "vitest"],
    runs: true
  })
  const server = yield* Effect.either(Postgres.scoped)
  if (server._tag === "Left") {
    if (required()) results.push({ name: server.left.message, passed: false })
    console.error(`NOT TESTED: the postgres program does not run: ${server.left.message}`)
  }
  consume(work, tarball, {
    name: "postgres",
    needs: ["@effect/sql-pg", "@effect/sql", "@effect/experimental", "@effect/platform", "pg", "@types/pg"],
    without: ["better-sqlite3", "vitest"],
    env: server._tag === "Right" ? { DATABASE_URL: server.right.url } : undefined,
    runs: server._tag === "Right"
  })
})

await Effect.runPromise(Effect.scoped(program))
const failed = results.filter(({ passed }) => !passed).length
console.log(`${results.length - failed} passed, ${failed} failed`)
process.exitCode = failed === 0 ? 0 : 1
