/** Which tests run on Effect 4 is said in the docs, and is so. */
import { assert, it } from "vitest"
import { readdirSync, readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("../../", import.meta.url))
const docs = readFileSync(`${root}docs/testing.md`, "utf8")
const rooms = readdirSync(`${root}test`, { withFileTypes: true }).filter((entry) => entry.isDirectory())
const files = rooms.flatMap(({ name: room }) =>
  readdirSync(`${root}test/${room}`)
    .filter((file) => file.endsWith(".test.ts"))
    .map((file) => ({ room, file, text: readFileSync(`${root}test/${room}/${file}`, "utf8") }))
)

/** The row of the table for a room. */
const row = (room: string) =>
  docs.split("\n").find((line) => line.startsWith("| `") && line.split("|")[1]!.includes(`\`${room}\``))

it("every room has its row, which names what is left out", () => {
  for (const room of new Set(files.map((file) => file.room))) {
    const said = row(room)
    assert.isDefined(said, room)
    const left = files.filter((file) => file.room === room && file.file.endsWith(".effect3.test.ts"))
    assert.deepStrictEqual(
      [...said.matchAll(/`(\w+\.effect3)`/g)].map(([, name]) => `${name}.test.ts`),
      left.map(({ file }) => file)
    )
  }
})

it("what needs a package of Effect 3 alone is named for it", () => {
  for (const { room, file, text } of files) {
    if (room === "project" || room === "evidence") continue
    const needs = /from "@effect\/(?!sql-pg"|vitest")/.test(text)
    assert.strictEqual(needs && !file.endsWith(".effect3.test.ts"), false, `${room}/${file}`)
  }
})
