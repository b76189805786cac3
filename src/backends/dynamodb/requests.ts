/** What is asked of DynamoDB, as the input of its commands. Names of attributes are always given by placeholders: some are words of the language. */
import type { AttributeValue, DeleteItemCommandInput, UpdateItemCommandInput } from "@aws-sdk/client-dynamodb"
import type { Claim, LockRecord } from "../../LockRecord.js"
import * as LockRecords from "../../LockRecord.js"
import type { Seen } from "../shared/observed/store.js"
import * as items from "./items.js"

interface Update {
  readonly set: items.Item
  readonly remove: ReadonlyArray<string>
  /** By one each. */
  readonly count: ReadonlyArray<string>
}

interface Texts {
  readonly names: Record<string, string>
  readonly values: Record<string, AttributeValue>
}

const name = (texts: Texts, attribute: string): string => {
  texts.names[`#${attribute}`] = attribute
  return `#${attribute}`
}

const value = (texts: Texts, placeholder: string, of: AttributeValue): string => {
  texts.values[`:${placeholder}`] = of
  return `:${placeholder}`
}

const updating = (texts: Texts, { count, remove, set }: Update): string =>
  [
    `SET ${Object.entries(set)
      .map(([attribute, of]) => `${name(texts, attribute)} = ${value(texts, attribute, of)}`)
      .join(", ")}`,
    ...(remove.length === 0 ? [] : [`REMOVE ${remove.map((attribute) => name(texts, attribute)).join(", ")}`]),
    ...(count.length === 0
      ? []
      : [
          `ADD ${count.map((attribute) => `${name(texts, attribute)} ${value(texts, "one", items.number(1))}`).join(", ")}`
        ])
  ].join(" ")

/**
 * That the item is as it was seen. By the version, and by what tells two records of one version apart: the item may have been deleted by hand, and recreated.
 */
const unchanged = (texts: Texts, { record }: Seen<never>): string =>
  record === undefined
    ? `attribute_not_exists(${name(texts, "id")})`
    : `${name(texts, "version")} = ${value(texts, "seenVersion", items.number(record.version))} AND ${name(texts, "token")} = ${value(texts, "seenToken", items.number(record.token))} AND ${name(texts, "holds")} = ${value(texts, "seenHolds", items.list(record.holds))}`

const request = (table: string, lockId: string, condition: string, texts: Texts) => ({
  TableName: table,
  Key: items.key(lockId),
  ConditionExpression: condition,
  ExpressionAttributeNames: texts.names,
  ...(Object.keys(texts.values).length === 0 ? {} : { ExpressionAttributeValues: texts.values }),
  ReturnValuesOnConditionCheckFailure: "ALL_OLD" as const
})

const label = (ownerLabel: string | undefined): Pick<Update, "remove"> => ({
  remove: ownerLabel ? [] : ["ownerLabel"]
})

/** Puts the record, if the item is as it was seen. */
export const write = (table: string, lockId: string, base: Seen<never>, next: LockRecord): UpdateItemCommandInput => {
  const texts: Texts = { names: {}, values: {} }
  const UpdateExpression = updating(texts, {
    set: items.attributes(next),
    ...label(next.ownerLabel),
    count: []
  })
  return { ...request(table, lockId, unchanged(texts, base), texts), UpdateExpression }
}

export const remove = (table: string, lockId: string, base: Seen<never>): DeleteItemCommandInput => {
  const texts: Texts = { names: {}, values: {} }
  return request(table, lockId, unchanged(texts, base), texts)
}

/** Takes the lock, if it is free, or still as in `over`. What is no record of ours, or of a newer format, is left alone. */
export const take = (table: string, claim: Claim, over: Seen<never> | undefined): UpdateItemCommandInput => {
  const texts: Texts = { names: {}, values: {} }
  const UpdateExpression = updating(texts, {
    set: {
      kind: items.text(LockRecords.exclusive),
      format: items.number(LockRecords.format),
      ownerId: items.text(claim.ownerId),
      holds: items.list([claim.holdId]),
      lockBeginTime: items.number(0),
      leaseExpireTime: items.number(claim.lease),
      data: items.text(""),
      ...(claim.ownerLabel ? { ownerLabel: items.text(claim.ownerLabel) } : {})
    },
    ...label(claim.ownerLabel),
    count: ["token", "version"]
  })
  const free = [
    `attribute_not_exists(${name(texts, "id")})`,
    `${name(texts, "holds")} = ${value(texts, "none", items.list([]))} AND ${name(texts, "format")} <= ${value(texts, "format", items.number(LockRecords.format))}`,
    ...(over === undefined ? [] : [unchanged(texts, over)])
  ]
  return {
    ...request(table, claim.lockId, free.map((each) => `(${each})`).join(" OR "), texts),
    UpdateExpression,
    ReturnValues: "ALL_NEW"
  }
}
