/** A record as one text: JSON, without the id, which the store has beside it. */
import * as LockRecord from "../../../LockRecord.js"

export const encode = ({ lockId: _, ...rest }: LockRecord.LockRecord): string => JSON.stringify(rest)

const isText = (value: unknown) => typeof value === "string"

const shape: Readonly<Record<string, (value: unknown) => boolean>> = {
  kind: isText,
  format: Number.isSafeInteger,
  ownerId: isText,
  holds: (value) => Array.isArray(value) && value.every(isText),
  token: Number.isSafeInteger,
  version: Number.isSafeInteger,
  lockBeginTime: Number.isSafeInteger,
  leaseExpireTime: Number.isSafeInteger,
  data: isText
}

/** What a message says of a record that only a later version of the library can judge. */
export const newer = (lockId: string, format: number): string =>
  `the record of ${JSON.stringify(lockId)} has format ${format}, newer than ${LockRecord.format}: update effect-storage-lock`

/** A record of any format, if it has the fields of this one. Of anything else, why it is none: `foreign`, unless its number tells that it is newer. */
export const ofFields = (lockId: string, value: unknown, foreign: string): LockRecord.LockRecord | string => {
  if (typeof value !== "object" || value === null) return foreign
  const fields = value as Record<string, unknown>
  if (Object.entries(shape).every(([field, isRight]) => isRight(fields[field]))) {
    const { ownerLabel, ...rest } = fields
    return {
      ...rest,
      ...LockRecord.labelled(isText(ownerLabel) ? ownerLabel : undefined),
      lockId
    } as unknown as LockRecord.LockRecord
  }
  return typeof fields.format === "number" && fields.format > LockRecord.format ? newer(lockId, fields.format) : foreign
}

export const decode = (lockId: string, text: string, foreign: string): LockRecord.LockRecord | string => {
  try {
    return ofFields(lockId, JSON.parse(text), foreign)
  } catch {
    return foreign
  }
}

/** Whether two records are alike in every field. */
export const isSame = (a: LockRecord.LockRecord | undefined, b: LockRecord.LockRecord | undefined): boolean =>
  a === undefined || b === undefined
    ? a === b
    : a.version === b.version &&
      a.token === b.token &&
      a.kind === b.kind &&
      a.format === b.format &&
      a.ownerId === b.ownerId &&
      (a.ownerLabel ?? "") === (b.ownerLabel ?? "") &&
      a.holds.length === b.holds.length &&
      a.holds.every((hold, i) => hold === b.holds[i]) &&
      a.lockBeginTime === b.lockBeginTime &&
      a.leaseExpireTime === b.leaseExpireTime &&
      a.data === b.data
