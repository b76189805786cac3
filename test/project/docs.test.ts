/** The documentation's site is built by `npm run docs`. Here is what must not go stale between two builds, and that the check of links finds what it should. */
import { assert, beforeAll, describe, it } from "#harness/vitest"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import { deflateSync } from "node:zlib"
import { drawn } from "../../evidence/timelines/drawn.js"
import { brokenLinks } from "../../scripts/docs/links.js"
import { groups, groupOf, modules } from "../../scripts/docs/places.js"

const root = fileURLToPath(new URL("../../", import.meta.url))
const pictures = Path.join(root, "docs/images/timelines")

describe("the timelines", () => {
  let now: ReadonlyMap<string, string>
  beforeAll(() => {
    now = drawn()
  })

  it("are what the simulation does now: else, `npm run docs:timelines`", () => {
    for (const [name, text] of now)
      assert.strictEqual(Fs.readFileSync(Path.join(pictures, `${name}.svg`), "utf8"), text, name)
  })

  it("are the same when they are drawn again", () => {
    assert.deepStrictEqual([...drawn()], [...now])
  })

  it("are each on the page, and no other file is there", () => {
    const page = Fs.readFileSync(Path.join(root, "docs/design.md"), "utf8")
    const shown = [...page.matchAll(/\]\(images\/timelines\/([\w-]+)\.svg\)/g)].map(([, name]) => name!)
    assert.sameMembers(shown, [...now.keys()])
    assert.sameMembers(
      Fs.readdirSync(pictures),
      [...now.keys()].map((name) => `${name}.svg`)
    )
  })

  it("show what they are for", () => {
    const tell = (name: string) => [...now.get(name)!.matchAll(/>(\d+) ms: ([^<]*)</g)].map(([, , words]) => words!)
    assert.include(tell("cut-off").join("\n"), "ms before its lease ends")
    assert.include(tell("frozen").join("\n"), "a write of process 1 is rejected")
    assert.include(tell("forgotten").join("\n"), "a write of process 1 is rejected")
    assert.include(tell("lost-reply").join("\n"), "with the same hold id")
    assert.include(tell("hand-over").join("\n"), "wake-up reaches process 2")
    assert.include(tell("killed").join("\n"), "the storage finds the lease over")
  })
})

describe("the site", () => {
  it("has each public module, and its source is there", () => {
    const { exports } = JSON.parse(Fs.readFileSync(Path.join(root, "package.json"), "utf8")) as { exports: object }
    assert.strictEqual(modules().size, Object.keys(exports).filter((path) => path !== "./package.json").length)
    for (const file of modules().values()) assert.isTrue(Fs.existsSync(Path.join(root, file)), file)
  })

  it("has a group for each page", () => {
    assert.strictEqual(groupOf("docs/storages/redis.md"), "Storages")
    assert.strictEqual(groupOf("docs/chaos/redis.md"), "Evidence")
    assert.strictEqual(groupOf("docs/proof.md"), "Evidence")
    assert.strictEqual(groupOf("CONTRIBUTING.md"), "The project")
    assert.strictEqual(groupOf("docs/kinds.md"), "Guides")
    assert.strictEqual(groups.at(-1)![0], "Guides")
  })

  it("is checked for links that lead nowhere", () => {
    const folder = Fs.mkdtempSync(Path.join(Os.tmpdir(), "docs-links-"))
    try {
      Fs.mkdirSync(Path.join(folder, "guides"))
      Fs.writeFileSync(
        Path.join(folder, "index.html"),
        `<html data-base="./"><h1 id="here">a</h1><a href="guides/one.html#a%20b">b</a>`
      )
      const search = { rows: [{ url: "guides/one.html" }, { url: "guides/two.html" }] }
      Fs.mkdirSync(Path.join(folder, "assets"))
      Fs.writeFileSync(
        Path.join(folder, "assets/search.js"),
        `window.searchData = "${deflateSync(JSON.stringify(search)).toString("base64")}";`
      )
      Fs.writeFileSync(
        Path.join(folder, "guides/one.html"),
        `<html data-base="../index.html"><link rel="stylesheet" href="https://cdn.example/style.css"/><p id="a b"></p>
        <a href="../index.html#here">right</a> <a class="x" href="#a b">right</a> <a href="https://example.com/">not ours</a>
        <a href="../index.html#there">a</a> <a href="two.html">b</a> <a href="../">c</a> <a href="../../etc">d</a> <img src="no.svg"/>`
      )
      assert.sameMembers(
        [...brokenLinks(folder, (page) => (page === "guides/one.html" ? "docs/one.md" : undefined))],
        [
          "../index.html#there leads to no place on its page",
          "two.html leads to no file",
          "../ leads to a folder",
          "../index.html is not the folder of the site, from which menu and search lead on",
          "../../etc leads out of the site",
          "no.svg leads to no file",
          "https://cdn.example/style.css is fetched from elsewhere"
        ]
          .map((fault) => `guides/one.html, made of docs/one.md: ${fault}`)
          .concat("assets/search.js: guides/two.html leads to no file")
      )
    } finally {
      Fs.rmSync(folder, { recursive: true })
    }
  })
})
