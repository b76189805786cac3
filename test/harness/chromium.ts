/** A real browser for tests: one that the environment names, one that is installed, or one fetched from Debian's packages, without root. */
import * as Effect from "#effect/Effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Debian from "./debian.js"
import { ServerUnavailable } from "./server.js"

export interface Chromium {
  readonly file: string
  readonly env: Record<string, string>
}

export const environmentVariable = "EFFECT_STORAGE_LOCK_CHROMIUM"
const server = "Chromium"

/** Where it cannot be had, nobody is to blame that it is not there. */
export const isOptional = process.platform !== "linux" || !Fs.existsSync("/usr/bin/apt-get")

const installed = [
  "/usr/bin/chromium",
  "/usr/bin/chromium-browser",
  "/usr/bin/google-chrome",
  "/usr/bin/chromium-headless-shell"
]

/** The part of Chromium that needs no screen; its fonts come along. */
const fetched: Effect.Effect<Chromium, ServerUnavailable> = Effect.map(
  Debian.fetch({
    server,
    package: "chromium-headless-shell",
    keep: (name) => /^(chromium-|fontconfig-config|fonts-|lib)/.test(name)
  }),
  ({ command, root }) => {
    const { env, file } = command("usr/lib/chromium/chromium-headless-shell")
    const settings = Path.join(root, "fonts.conf")
    const text = `<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <dir>/usr/share/fonts</dir>
  <dir>${Path.join(root, "usr/share/fonts")}</dir>
  <cachedir prefix="xdg">fontconfig</cachedir>
  ${["system-ui", "sans-serif"].map((name) => `<alias binding="same"><family>${name}</family><prefer><family>Inter</family><family>Noto Sans</family><family>DejaVu Sans</family></prefer></alias>`).join("\n  ")}
  <alias><family>monospace</family><prefer><family>DejaVu Sans Mono</family></prefer></alias>
</fontconfig>
`
    if (!Fs.existsSync(settings) || Fs.readFileSync(settings, "utf8") !== text) Fs.writeFileSync(settings, text)
    // Some libraries stand in a folder of their own within.
    const libraries = (env["LD_LIBRARY_PATH"] ?? "")
      .split(":")
      .flatMap((folder) => ["", "nss", "pulseaudio"].map((name) => Path.join(folder, name)))
    return { file, env: { ...env, LD_LIBRARY_PATH: libraries.join(":"), FONTCONFIG_FILE: settings } }
  }
)

/** Where it is, and what it needs in its environment. */
export const find: Effect.Effect<Chromium, ServerUnavailable> = Effect.suspend(() => {
  const named = process.env[environmentVariable]
  if (named !== undefined && named !== "") {
    return Fs.existsSync(named)
      ? Effect.succeed({ file: named, env: {} })
      : Effect.fail(new ServerUnavailable({ server, reason: `there is no ${named}` }))
  }
  const file = installed.find((path) => Fs.existsSync(path))
  return file === undefined ? fetched : Effect.succeed({ file, env: {} })
})
