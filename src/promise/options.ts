/** Options as programs with promises give them, looked at before any I/O. */
import { InvalidOptions as InvalidCore } from "../LockError.js"
import { unknownName } from "../common/optionNames.js"
import type * as core from "../core/api.js"
import { ofLayer } from "../core/options.js"
import type { Guarantees } from "../Storage.js"
import { InvalidOptions } from "./errors.js"
import * as plain from "./plain.js"
import type { AuditOptions, ConnectOptions } from "./types.js"

/** What any storage grants: what it does not, no storage does. */
const lax: Guarantees = {
  name: "any storage",
  clock: "storage",
  leaseGranularity: 1,
  shortestLease: 1,
  longestId: 4 * 255
}

export interface Connect {
  readonly layer: core.Options
  readonly storage: Readonly<Record<string, unknown>>
  readonly audit: AuditOptions | undefined
  readonly log: ConnectOptions["log"]
}

/** Throws what is wrong. */
export const ofConnect = (options: ConnectOptions): Connect => {
  const fault = unknownName<ConnectOptions>(options, {
    leaseExpireAfter: true,
    leaseRefreshInterval: true,
    acquireTimeout: true,
    clockMargin: true,
    holdAtMost: true,
    lostAtEnd: true,
    ownerLabel: true,
    namespace: true,
    purgeAfter: true,
    audit: true,
    storage: true,
    log: true
  })
  if (fault !== undefined) throw plain.error(fault)
  const { audit = false, log, storage = {}, ...layer } = options
  if (typeof audit !== "boolean" && (typeof audit !== "object" || audit === null || Array.isArray(audit)))
    throw new InvalidOptions({
      field: "audit",
      kind: audit === null ? "null" : `of type ${typeof audit}`,
      rule: "true, false, or an object with options"
    })
  if (typeof storage !== "object" || storage === null || Array.isArray(storage))
    throw new InvalidOptions({
      field: "storage",
      kind: `of type ${storage === null ? "null" : typeof storage}`,
      rule: "an object with the options of the storage"
    })
  if (log !== undefined && log !== false && typeof log !== "function")
    throw new InvalidOptions({ field: "log", kind: `of type ${typeof log}`, rule: "a function, or false" })
  const resolved = ofLayer(layer, lax)
  if (resolved instanceof InvalidCore) throw plain.error(resolved)
  return {
    layer,
    audit: audit === true ? {} : audit || undefined,
    storage: storage as Readonly<Record<string, unknown>>,
    log
  }
}

const isSignal = (value: unknown): value is AbortSignal =>
  typeof value === "object" &&
  value !== null &&
  typeof (value as AbortSignal).aborted === "boolean" &&
  typeof (value as AbortSignal).addEventListener === "function"

/** What is no option is told by the core. */
export const ofAcquire = <O extends { readonly signal?: AbortSignal | undefined }>(
  options: O
): { readonly own: Omit<O, "signal">; readonly signal: AbortSignal | undefined } => {
  if (typeof options !== "object" || options === null || Array.isArray(options))
    throw new InvalidOptions({
      field: "options",
      kind: options === null ? "null" : `of type ${typeof options}`,
      rule: "an object"
    })
  const { signal, ...own } = options
  if (signal !== undefined && !isSignal(signal))
    throw new InvalidOptions({ field: "signal", kind: `of type ${typeof signal}`, rule: "an AbortSignal" })
  return { own, signal }
}
