/** The page as one text, and the policy under which a browser runs what is in it, and nothing else. Its parts are files in the folder `page`. */
import { createHash } from "node:crypto"
import * as Fs from "node:fs"

/** In this order they are one script. */
const scripts = ["elements", "store", "table", "rest", "dialog", "main"]

const read = (name: string): string => Fs.readFileSync(new URL(`./page/${name}`, import.meta.url), "utf8")

const hash = (text: string): string => `'sha256-${createHash("sha256").update(text).digest("base64")}'`

/** What stands between the tags: a browser counts every space of it. */
const put = (page: string, mark: string, text: string): string =>
  page.replace(new RegExp(`\\s*${mark}\\s*`), () => text)

interface Page {
  readonly html: string
  readonly policy: string
}

const make = (): Page => {
  const style = read("style.css")
  const script = scripts.map((name) => read(`client/${name}.js`)).join("\n")
  return {
    html: put(put(read("index.html"), "/\\*style\\*/", style), "/\\*script\\*/", script),
    policy: [
      "default-src 'none'",
      `style-src ${hash(style)}`,
      `script-src ${hash(script)}`,
      "connect-src 'self'",
      "img-src data:",
      "base-uri 'none'",
      "form-action 'none'",
      "frame-ancestors 'none'",
      // No text can become markup or code, by whatever mistake.
      "require-trusted-types-for 'script'",
      "trusted-types 'none'"
    ].join("; ")
  }
}

let made: Page | undefined

export const page = (): Page => (made ??= make())
