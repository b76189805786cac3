/** The documentation as a static site: `npm run docs`, or `npm run docs -- --out folder`. It fails if typedoc warns of anything, or if a link leads nowhere. */
import * as Path from "node:path"
import { parseArgs } from "node:util"
import { brokenLinks } from "./links.js"
import { defaultFolder } from "./places.js"
import { build } from "./site.js"

const { values } = parseArgs({ options: { out: { type: "string" } } })
const folder = values.out === undefined ? defaultFolder : Path.resolve(values.out)

const { isSound, sourceOf } = await build(folder)
const broken = brokenLinks(folder, sourceOf)
for (const link of broken) console.error(link)
if (broken.length > 0) console.error(`${broken.length} links lead nowhere`)
if (!isSound || broken.length > 0) process.exitCode = 1
else console.log(`Open ${Path.join(folder, "index.html")}`)
