/** The options of ZooKeeper's layers: their types, their checks and their defaults. */
import type * as Redacted from "effect/Redacted"
import { InvalidOptions } from "../../LockError.js"
import { flagFault, invalid, secretOption, secretText, textFault } from "../../common/input.js"
import { unknownName } from "../../common/optionNames.js"
import { operation, operationNames, type OperationOptions, type ResolvedOperation } from "../shared/options.js"
import { hosts as hostsOf } from "../shared/hosts.js"
import * as users from "../shared/user.js"
import type { Server } from "./client/connection.js"
import type { Acl } from "./client/protocol.js"
import { permission } from "./client/protocol.js"

export type Access = "open" | "creator"

export interface Common extends OperationOptions {
  readonly root?: string | undefined
  readonly acl?: Access | undefined
  readonly setup?: boolean | undefined
}

export interface ResolvedCommon extends ResolvedOperation {
  readonly root: string
  /** By whether there is a user, if it is not said. */
  readonly acl: Access | undefined
  readonly setup: boolean
}

/** What ZooKeeper takes for the name of a node; of other languages there are some more, which are not needed. */
const segment = /^(?!\.{1,2}$)[\x21-\x2e\x30-\x7e]+$/

export const isPath = (path: string): boolean =>
  path.length <= 255 &&
  path.startsWith("/") &&
  path
    .slice(1)
    .split("/")
    .every((each) => segment.test(each))

const pathRule = 'a path of 2 to 255 characters such as "/locks", of visible ones of ASCII, not under /zookeeper'

export const root = (value: unknown): string | InvalidOptions => {
  const path: unknown = value ?? "/effect-storage-lock"
  const fault = textFault(path)
  return fault === undefined && isPath(path as string) && !/^\/zookeeper(\/|$)/.test(path as string)
    ? (path as string)
    : invalid("root", path, pathRule)
}

export const access = (value: unknown): Access | undefined | InvalidOptions =>
  value === undefined || value === "open" || value === "creator" ? value : invalid("acl", value, '"open" or "creator"')

export const common = <Options extends Common>(
  options: Options,
  own: Readonly<Record<Exclude<keyof Options, keyof Common>, true>>
): ResolvedCommon | InvalidOptions => {
  const unknown = unknownName(options, { root: true, acl: true, setup: true, ...operationNames, ...own })
  if (unknown !== undefined) return unknown
  const path = root(options.root)
  if (path instanceof InvalidOptions) return path
  const acl = access(options.acl)
  if (acl instanceof InvalidOptions) return acl
  const fault = flagFault("setup", options.setup)
  if (fault !== undefined) return fault
  const each = operation(options)
  return each instanceof InvalidOptions ? each : { ...each, root: path, acl, setup: options.setup ?? true }
}

/**
 * Who may do what with a node that is made. Nobody may delete what is below it: a lock's node that is recreated counts its changes from 0, which nobody could tell from what was there before.
 */
export const acls = (access: Access, isRoot: boolean): ReadonlyArray<Acl> => {
  const permissions = permission.read | permission.write | permission.admin | (isRoot ? permission.create : 0)
  return [access === "open" ? { permissions, scheme: "world", id: "anyone" } : { permissions, scheme: "auth", id: "" }]
}

export type User = users.User

export interface ResolvedUrl {
  readonly servers: ReadonlyArray<Server>
  readonly tls: boolean
  readonly user: User | undefined
  /** What stands in front of every path; empty, or without a slash at its end. */
  readonly chroot: string
}

const urlRule =
  "a Redacted URL such as zookeeper://user:password@host1:2181,host2:2181/chroot (zookeepers:// for TLS), " +
  "with the characters / ? # @ : % , of user and password percent-encoded"

/** The first parameter of a URL that is otherwise right, if it surely is one and no part of a password. */
const parameter = (text: string): string | undefined => {
  const found = /^zookeepers?:\/\/(?:[^@/?#]*@)?[^@/?#]+(?:\/[^@?#]*)?\?([A-Za-z][\w.-]*)=[^@]*$/i.exec(text)
  return found?.[1]
}

/** Says nothing of the value but its kind: a URL that is not understood may bear its password anywhere. */
export const url = (value: unknown): ResolvedUrl | InvalidOptions => {
  const bad = (kind: string) => new InvalidOptions({ field: "url", kind, rule: urlRule })
  const text = secretText(value)
  if (typeof text !== "string") return bad(text.kind)
  const unknown = parameter(text)
  if (unknown !== undefined)
    return bad(
      `a URL with the parameter ${JSON.stringify(unknown)}, and takes none (TLS is zookeepers://, certificates are the option \`tls\`)`
    )
  const parts = /^(zookeepers?):\/\/(?:([^@/?#]*)@)?([^@/?#]+)((?:\/[^@?#]*)?)$/i.exec(text)
  if (parts === null) return bad("not a URL of ZooKeeper")
  const [, scheme, credentials, hosts, path] = parts
  const all = hostsOf(hosts!, 2181)
  if (typeof all === "string") return bad(all)
  const chroot = path!.replace(/\/+$/, "")
  if (chroot !== "" && !isPath(chroot)) return bad("a URL with a path that is none of ZooKeeper's")
  const user = credentials === undefined ? undefined : users.ofUrl(credentials)
  if (typeof user === "string") return bad(user)
  if (user?.name.includes(":") === true) return bad("a URL with a user whose name has a colon")
  return {
    // A socket wants an IPv6 address without its brackets.
    servers: all.map(({ host, port }) => ({ host: host.replace(/^\[|\]$/g, ""), port })),
    tls: /s$/i.test(scheme!),
    user,
    chroot
  }
}

export const user = (value: unknown): User | InvalidOptions => {
  if (typeof value !== "object" || value === null) return invalid("user", value, "{ name, password }")
  const unknown = unknownName<User>(value, { name: true, password: true }, "user")
  if (unknown !== undefined) return unknown
  const { name, password } = value as { readonly name?: unknown; readonly password?: unknown }
  if (typeof name !== "string" || name === "" || name.includes(":"))
    return invalid("user.name", name, "a text that is not empty and has no colon")
  const secret = secretOption("user.password", password)
  return secret instanceof InvalidOptions ? secret : { name, password: password as Redacted.Redacted }
}
