import { assert, describe, it } from "#harness/vitest"
import * as Fs from "node:fs"
import { fileURLToPath } from "node:url"
import { manifest } from "../../scripts/tree.js"

interface Package {
  readonly version?: string
  readonly resolved?: string
  readonly devDependencies?: Record<string, string>
  readonly peerDependencies?: Record<string, string>
  readonly optionalDependencies?: Record<string, string>
}

const read = (path: string) => Fs.readFileSync(fileURLToPath(new URL(`../../${path}`, import.meta.url)), "utf8")

const { packages } = JSON.parse(read("package-lock.json")) as { packages: Record<string, Package> }

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

/** Of each, the lock and the manifest that it was made from. */
const locks = {
  "package-lock.json": () => read("package.json"),
  "scripts/effect4/package-lock.json": manifest
}

for (const [path, of] of Object.entries(locks)) {
  describe(path, () => {
    const lock = JSON.parse(read(path)) as { packages: Record<string, Package> }
    const { devDependencies, peerDependencies, version } = JSON.parse(of()) as Required<Package>

    it("is of this version, and of these packages", () => {
      const root = lock.packages[""]!
      assert.strictEqual(root.version, version)
      assert.deepStrictEqual(root.devDependencies, devDependencies)
      assert.deepStrictEqual(root.peerDependencies, peerDependencies)
    })

    it("has each package that is needed for development in just that version", () => {
      for (const [name, exact] of Object.entries(devDependencies))
        assert.strictEqual(lock.packages[`node_modules/${name}`]?.version, exact, name)
    })
  })
}
