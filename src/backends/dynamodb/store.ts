/** DynamoDB as a store of observed expiry: one conditional update writes, and answers with the present item if the condition fails. */
import {
  ConditionalCheckFailedException,
  DeleteItemCommand,
  type DeleteItemCommandOutput,
  GetItemCommand,
  type GetItemCommandOutput,
  ScanCommand,
  type ScanCommandOutput,
  UpdateItemCommand,
  type UpdateItemCommandOutput
} from "@aws-sdk/client-dynamodb"
import * as Effect from "#effect/Effect"
import { StorageError } from "../../LockError.js"
import type { LockRecord } from "../../LockRecord.js"
import { type Ask as Part, eachAlone, type Page, type Reply, type Seen, type Store } from "../shared/observed/store.js"
import { type Ask, type Caller, sent } from "./caller.js"
import { originalOf } from "./once.js"
import * as errors from "./errors.js"
import * as items from "./items.js"
import * as requests from "./requests.js"

export type Cursor = items.Item

/** How many requests of one operation are under way at once. */
const concurrency = 16

const absent: Seen<never> = { record: undefined, revision: 0 }

const ofRecord = (record: LockRecord): Seen<never> => ({ record, revision: record.version })

const seen = (operation: string, lockId: string, item: items.Item | undefined): Seen<never> | StorageError => {
  if (item === undefined) return absent
  const record = items.decode(lockId, item)
  return typeof record === "string" ? errors.schema(operation, record) : ofRecord(record)
}

/** The item that a condition failed on. Of a class or a name: the program's client may come from another copy of the driver. */
const presentOf = (error: unknown): { readonly item: items.Item | undefined } | undefined =>
  error instanceof ConditionalCheckFailedException || errors.codeOf(error) === "ConditionalCheckFailedException"
    ? { item: (error as { readonly Item?: items.Item }).Item }
    : undefined

/** `vanished` is told of a record that was there, and is not any more: nothing of ours deletes one. */
export const make = (
  { call }: Caller,
  table: string,
  vanished: (until: number) => Effect.Effect<void>
): Store<never, Cursor> => {
  const read = (operation: string, lockId: string, until: number): Effect.Effect<Reply<never>, StorageError> =>
    Effect.map(
      call(
        operation,
        sent<GetItemCommandOutput>(
          () => new GetItemCommand({ TableName: table, Key: items.key(lockId), ConsistentRead: true })
        ),
        until,
        "reads"
      ),
      ({ Item }) => present(operation, lockId, Item)
    )

  const present = (operation: string, lockId: string, item: items.Item | undefined): Reply<never> => {
    const found = seen(operation, lockId, item)
    return found instanceof StorageError ? found : { _tag: "Present", seen: found }
  }

  /** A condition that fails is an answer. */
  const conditional = <O>(
    operation: string,
    lockId: string,
    ask: Ask<O>,
    until: number,
    written: (output: O) => Reply<never>
  ): Effect.Effect<Reply<never>, StorageError> =>
    call(
      operation,
      async (client, signal): Promise<Reply<never>> => {
        try {
          return written(await ask(client, signal))
        } catch (error) {
          const found = presentOf(originalOf(error))
          if (found === undefined) throw error
          return present(operation, lockId, found.item)
        }
      },
      until,
      "writes"
    )

  const one = (
    operation: string,
    lockId: string,
    ask: Part<never>,
    until: number
  ): Effect.Effect<Reply<never>, StorageError> => {
    if (ask._tag === "Read") return read(operation, lockId, until)
    if (ask._tag === "Take") {
      return conditional(
        operation,
        lockId,
        sent<UpdateItemCommandOutput>(() => new UpdateItemCommand(requests.take(table, ask.claim, ask.over))),
        until,
        ({ Attributes }) => {
          const found = seen(operation, lockId, Attributes)
          return found instanceof StorageError ? found : { _tag: "Written", seen: found }
        }
      )
    }
    const { base, next } = ask
    const tried =
      next === undefined
        ? conditional(
            operation,
            lockId,
            sent<DeleteItemCommandOutput>(() => new DeleteItemCommand(requests.remove(table, lockId, base))),
            until,
            () => ({ _tag: "Written", seen: absent })
          )
        : conditional(
            operation,
            lockId,
            sent<UpdateItemCommandOutput>(() => new UpdateItemCommand(requests.write(table, lockId, base, next))),
            until,
            () => ({ _tag: "Written", seen: ofRecord(next) })
          )
    return base.record === undefined
      ? tried
      : Effect.tap(tried, (reply) =>
          reply._tag === "Present" && reply.seen.record === undefined ? vanished(until) : Effect.void
        )
  }

  return {
    name: "DynamoDbStorage",
    takes: true,
    send: eachAlone(one, concurrency),
    page: (operation, from, until) =>
      Effect.map(
        call(
          operation,
          sent<ScanCommandOutput>(
            () =>
              new ScanCommand({
                TableName: table,
                ConsistentRead: true,
                ...(from === undefined ? {} : { ExclusiveStartKey: from })
              })
          ),
          until,
          "reads"
        ),
        ({ Items = [], LastEvaluatedKey }): Page<never, Cursor> => ({
          all: Items.map((item) => seen(operation, items.idOf(item), item)),
          next: LastEvaluatedKey
        })
      )
  }
}
