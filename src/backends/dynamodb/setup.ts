/** The table: made if it is not there, looked at for what would be unsafe, and known again. */
import {
  CreateTableCommand,
  DescribeTableCommand,
  type DescribeTableCommandOutput,
  GetItemCommand,
  type TableDescription
} from "@aws-sdk/client-dynamodb"
import * as Effect from "#effect/Effect"
import type { StorageError } from "../../LockError.js"
import { type Caller, sent } from "./caller.js"
import * as errors from "./errors.js"
import * as items from "./items.js"
import type { ResolvedCommon } from "./options.js"

/** How long a table may take to be made, in milliseconds: DynamoDB takes some ten seconds. */
const longestMaking = 120_000
const pause = 250

/** Why the table cannot keep locks. */
const fault = (name: string, { AttributeDefinitions, KeySchema }: TableDescription): string | undefined => {
  const keys = KeySchema?.map(({ AttributeName, KeyType }) => `${AttributeName} ${KeyType}`).join()
  const type = AttributeDefinitions?.find(({ AttributeName }) => AttributeName === "id")?.AttributeType
  return keys === "id HASH" && type === "S"
    ? undefined
    : `the table ${JSON.stringify(name)} has not the one key \`id\`, a string: name another by \`table\``
}

/** Regions other than this one that have the table, if they take writes of their own without asking each other. */
const replicas = ({ GlobalTableVersion, MultiRegionConsistency, Replicas = [] }: TableDescription) =>
  MultiRegionConsistency === "STRONG" || (Replicas.length === 0 && GlobalTableVersion === undefined)
    ? []
    : Replicas.map(({ RegionName = "?" }) => RegionName)

/** What tells a table from another one of its name. DynamoDB Local gives no ids. */
export const idOf = ({ CreationDateTime, TableId }: TableDescription): string | undefined =>
  TableId ?? CreationDateTime?.toISOString()

export const describe = (
  { call }: Caller,
  table: string,
  until: number,
  operation = "setup"
): Effect.Effect<TableDescription, StorageError> =>
  Effect.map(
    call(
      operation,
      sent<DescribeTableCommandOutput>(() => new DescribeTableCommand({ TableName: table })),
      until,
      "reads"
    ),
    ({ Table = {} }) => Table
  )

const create = ({ call }: Caller, table: string, until: number) =>
  call(
    "setup",
    sent(
      () =>
        new CreateTableCommand({
          TableName: table,
          BillingMode: "PAY_PER_REQUEST",
          AttributeDefinitions: [{ AttributeName: "id", AttributeType: "S" }],
          KeySchema: [{ AttributeName: "id", KeyType: "HASH" }]
        })
    ),
    until,
    "writes"
  ).pipe(
    // Somebody else makes it.
    Effect.catchIf(errors.isInUse, () => Effect.void)
  )

/** Finds the table, or makes it, and refuses what would be unsafe. Its id, if we may know it. */
export const prepare = (
  caller: Caller,
  { oneRegion, operationTimeout, setup, table }: ResolvedCommon
): Effect.Effect<string | undefined, StorageError> =>
  Effect.gen(function* () {
    const bound = () => performance.now() + operationTimeout
    const last = performance.now() + longestMaking

    const found: Effect.Effect<TableDescription | undefined, StorageError> = Effect.suspend(() =>
      describe(caller, table, bound())
    ).pipe(
      Effect.catchIf(
        (error) => error.reason === "Permission" && !errors.hasUnknownCredentials(error),
        (error) =>
          Effect.as(
            Effect.logWarning(
              `DynamoDbStorage: cannot check the key of the table "${table}", nor whether other regions write to it, which would be unsafe. ${error.message}`
            ),
            undefined
          )
      )
    )

    /** It is known to others before it takes requests. */
    const active = (first: TableDescription | undefined) =>
      Effect.gen(function* () {
        let description = first
        while (description?.TableStatus === "CREATING" && performance.now() < last) {
          yield* Effect.sleep(pause)
          description = yield* found
        }
        return description
      })

    const first = yield* Effect.catchIf(
      found,
      (error) => setup && errors.isMissing(error),
      () =>
        Effect.andThen(
          Effect.suspend(() => create(caller, table, bound())),
          // Not every one of its servers knows the table at once.
          Effect.retry(found, { while: (error) => errors.isMissing(error) && performance.now() < last })
        )
    )
    const description = yield* active(first)
    if (description === undefined) {
      // That there is a table, and that we may.
      yield* caller.call(
        "setup",
        sent(() => new GetItemCommand({ TableName: table, Key: items.key("-"), ConsistentRead: true })),
        bound(),
        "reads"
      )
      return undefined
    }
    const wrong = fault(table, description)
    if (wrong !== undefined) return yield* errors.schema("setup", wrong)
    const others = replicas(description)
    if (others.length > 0) {
      const message = `the table "${table}" is a global table with eventual consistency (${others.join(", ")}): each region takes claims without asking the others`
      if (!oneRegion)
        return yield* errors.schema(
          "setup",
          `${message}, so two owners could hold one lock. Use a table of one region or one with strong consistency between regions, or set \`oneRegion: true\` if only this region's table is ever used for locks`
        )
      yield* Effect.logWarning(
        `DynamoDbStorage: ${message}. Locks exclude each other in this region alone, and another region may not have the last claims`
      )
    }
    return idOf(description)
  })
