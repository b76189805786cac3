/**
 * Retries of the SDK, off for our commands alone, whatever the client is set to. A reply that was lost, and a request that the SDK then sends again, would make our own write look like another's: a
 * release would be told that the hold is gone.
 */
import type { DynamoDBClient } from "@aws-sdk/client-dynamodb"

/** What the SDK's retries do not know as worth a retry. */
class Final extends Error {
  override readonly name = "Final"
  /** By these, a clock that is wrong is set right for the next request. */
  readonly ServerTime: unknown
  readonly $response: unknown

  constructor(readonly original: unknown) {
    super("not to be tried again")
    const { $response, ServerTime } = Object(original) as {
      readonly $response?: unknown
      readonly ServerTime?: unknown
    }
    this.ServerTime = ServerTime
    this.$response = $response
  }
}

type Command = Parameters<DynamoDBClient["send"]>[0]

/** Within the SDK's own retries: what a strategy of the program's tries again all the same is not sent. */
export const once = <C extends object>(command: C): C => {
  let first: Final | undefined
  ;(command as unknown as Command).middlewareStack.add(
    (next) => async (args) => {
      if (first !== undefined) throw first
      try {
        return await next(args)
      } catch (error) {
        first = new Final(error)
        throw first
      }
    },
    { name: "effectStorageLockOnce", step: "finalizeRequest", priority: "low" }
  )
  return command
}

export const originalOf = (error: unknown): unknown => (error instanceof Final ? error.original : error)
