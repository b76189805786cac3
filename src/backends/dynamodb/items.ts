/** A record as an item: each field an attribute of its own name, and the key `id`, which is the lock id. */
import type { AttributeValue } from "@aws-sdk/client-dynamodb"
import type { LockRecord } from "../../LockRecord.js"
import * as json from "../shared/observed/json.js"

export type Item = Record<string, AttributeValue>

export const key = (lockId: string): Item => ({ id: { S: lockId } })

export const text = (value: string): AttributeValue => ({ S: value })
export const number = (value: number): AttributeValue => ({ N: String(value) })
export const list = (values: ReadonlyArray<string>): AttributeValue => ({ L: values.map(text) })

/** All but the id. No label is no attribute. */
export const attributes = ({ holds, lockId: _, ownerLabel, ...rest }: LockRecord): Item => ({
  holds: list(holds),
  ...(ownerLabel === undefined ? {} : { ownerLabel: text(ownerLabel) }),
  ...Object.fromEntries(
    Object.entries(rest).map(([name, value]) => [name, typeof value === "number" ? number(value) : text(value)])
  )
})

const plain = (value: AttributeValue | undefined): unknown =>
  value === undefined
    ? undefined
    : value.S !== undefined
      ? value.S
      : value.N !== undefined
        ? Number(value.N)
        : value.L !== undefined
          ? value.L.map(plain)
          : undefined

const fields = [
  "kind",
  "format",
  "ownerId",
  "ownerLabel",
  "holds",
  "token",
  "version",
  "lockBeginTime",
  "leaseExpireTime",
  "data"
]

/** Attributes that others have added are left out, and stay where they are. Or why it is no record. */
export const decode = (lockId: string, item: Item): LockRecord | string =>
  json.ofFields(
    lockId,
    Object.fromEntries(
      fields.map((name) => [name, plain(item[name])] as const).filter(([, value]) => value !== undefined)
    ),
    `the item ${JSON.stringify(lockId)} is no record of a lock: choose another \`table\``
  )

export const idOf = (item: Item): string => item.id?.S ?? ""
