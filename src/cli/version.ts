import * as Fs from "node:fs"

/** Of this package. */
export const version: string = JSON.parse(
  Fs.readFileSync(new URL("../../package.json", import.meta.url), "utf8")
).version
