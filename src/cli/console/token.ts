/** The secret of those who may change something. */
import { randomBytes } from "node:crypto"
import * as Fs from "node:fs"
import { UsageError } from "../failure.js"

export const variable = "EFFECT_STORAGE_LOCK_CONSOLE_TOKEN"

const shortest = 16

export interface Token {
  readonly token: string
  /** Nobody knows it yet. */
  readonly isNew: boolean
}

const fromFile = (file: string): string => {
  try {
    return Fs.readFileSync(file, "utf8").trim()
  } catch (error) {
    throw new UsageError(`--token-file cannot be read: ${(error as Error).message}`)
  }
}

export const find = (file: string | undefined, env: NodeJS.ProcessEnv): Token => {
  const given = file === undefined ? env[variable] : fromFile(file)
  if (file === undefined && (given === undefined || given === ""))
    return { token: randomBytes(24).toString("base64url"), isNew: true }
  if (given === undefined || !/^[\x21-\x7e]+$/.test(given) || given.length < shortest) {
    throw new UsageError(
      `the token in ${file === undefined ? `$${variable}` : "the file of --token-file"} must have at least ${shortest} characters, of ASCII and without spaces`
    )
  }
  return { token: given, isNew: false }
}
