/** What `setup` makes, as commands of `zkCli.sh`. */
import { InvalidOptions } from "../../LockError.js"
import { unknownName } from "../../common/optionNames.js"
import * as options from "./options.js"

export interface DdlOptions {
  readonly root?: string | undefined
  readonly acl?: options.Access | undefined
}

export const ddl = (given: DdlOptions = {}): string => {
  const wrong = unknownName<DdlOptions>(given, { root: true, acl: true })
  if (wrong !== undefined) throw wrong
  const root = options.root(given.root)
  if (root instanceof InvalidOptions) throw root
  const access = options.access(given.acl)
  if (access instanceof InvalidOptions) throw access
  const parts = root.slice(1).split("/")
  const parents = parts.slice(0, -1).map((_, i) => `create /${parts.slice(0, i + 1).join("/")}`)
  return (
    access === "creator"
      ? ["addauth digest USER:PASSWORD", ...parents, `create ${root} "" auth::rwca`]
      : [...parents, `create ${root} "" world:anyone:rwca`]
  )
    .map((line) => `${line}\n`)
    .join("")
}
