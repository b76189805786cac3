/** The pictures of docs/design.md: `npm run docs:timelines` runs each case in the simulation and draws what happened. The same source gives the same files. */
import * as Fs from "node:fs"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import { drawn } from "./drawn.js"

const folder = fileURLToPath(new URL("../../docs/images/timelines/", import.meta.url))

Fs.mkdirSync(folder, { recursive: true })
for (const [name, text] of drawn()) Fs.writeFileSync(Path.join(folder, `${name}.svg`), text)
