import { assert, describe, it } from "#effect/vitest"
import * as Fs from "node:fs"
import { fileURLToPath } from "node:url"

interface Package {
  readonly resolved?: string
  readonly optionalDependencies?: Record<string, string>
}

const text = Fs.readFileSync(fileURLToPath(new URL("../../package-lock.json", import.meta.url)), "utf8")
const { packages } = JSON.parse(text) as { packages: Record<string, Package> }

/** Where node looks for a package, from the inside out. */
const places = (at: string, name: string): ReadonlyArray<string> =>
  at === ""
    ? [`node_modules/${name}`]
    : [`${at}/node_modules/${name}`, ...places(at.replace(/\/?node_modules\/(@[^/]+\/)?[^/]+$/, ""), name)]

describe("package-lock.json", () => {
  it("names no registry: each machine uses its own", () => {
    for (const [at, { resolved }] of Object.entries(packages)) assert.isUndefined(resolved, at)
  })

  // npm leaves out what its registry does not have, or what this platform does not install, and then refuses `npm ci`.
  it("has the optional packages of every platform", () => {
    const missing = Object.entries(packages).flatMap(([at, { optionalDependencies = {} }]) =>
      Object.keys(optionalDependencies).filter((name) => !places(at, name).some((place) => place in packages))
    )
    assert.deepStrictEqual(missing, [])
  })
})
