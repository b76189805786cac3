/** The native part of better-sqlite3 as `npm ci` left it here, for the other folders in which a script installs the same version: to compile it takes more than a minute of a processor. */
import { execFileSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("../", import.meta.url))
const name = "better-sqlite3"
const built = "build/Release/better_sqlite3.node"

/** For the environment of `npm install`, in which prebuild-install looks for a folder of archives. Nothing where there is none to be had: it is downloaded or compiled then, as ever. */
export const prebuilt = (): Record<string, string> => {
  const installed = Path.join(root, "node_modules", name)
  if (!Fs.existsSync(Path.join(installed, built))) return {}
  const { version } = JSON.parse(Fs.readFileSync(Path.join(installed, "package.json"), "utf8")) as { version: string }
  const folder = Path.join(root, "node_modules/.cache/prebuilt")
  Fs.mkdirSync(folder, { recursive: true })
  const archive = `${name}-v${version}-node-v${process.versions.modules}-${process.platform}-${process.arch}.tar.gz`
  execFileSync("tar", ["-czf", Path.join(folder, archive), "-C", installed, built])
  return { npm_config_better_sqlite3_local_prebuilds: folder }
}
