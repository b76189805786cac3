/** One stream of a watch, from its beginning to its end. */
import type * as Grpc from "@grpc/grpc-js"
import * as Effect from "#effect/Effect"
import type { StorageError } from "../../LockError.js"
import * as errors from "./errors.js"
import type { WatchRequest, WatchResponse } from "./protocol.js"

export interface Options {
  /** What the end of the layer cancels. */
  readonly active: Set<() => void>
  /** How long the first answer may take, in milliseconds. */
  readonly patience: number
  readonly start: () => Grpc.ClientDuplexStream<WatchRequest, WatchResponse>
  readonly request: WatchRequest
  /** An error ends the stream, and so does a throw: nothing that an answer may be can end more than that. */
  readonly hear: (response: WatchResponse) => StorageError | undefined
  readonly failed: (error: unknown) => void
}

const operation = "wakeUps"

export const open = ({ active, failed, hear, patience, request, start }: Options): Effect.Effect<never, StorageError> =>
  Effect.callback<never, StorageError>((resume) => {
    let stream: ReturnType<typeof start> | undefined
    const timer = setTimeout(() => end(errors.noAnswer(operation, patience, "no")), patience)
    const stop = () => {
      clearTimeout(timer)
      active.delete(stop)
      stream?.cancel()
    }
    const end = (error: StorageError) => {
      stop()
      resume(error)
    }
    const heard = (response: WatchResponse): StorageError | undefined => {
      try {
        return hear(response)
      } catch (error) {
        return errors.fromDriver(operation, error, "no")
      }
    }
    active.add(stop)
    try {
      stream = start()
      stream.on("data", (response: WatchResponse) => {
        clearTimeout(timer)
        const error = heard(response)
        if (error !== undefined) end(error)
      })
      stream.on("error", (error) => {
        failed(error)
        end(errors.fromDriver(operation, error, "no"))
      })
      stream.on("end", () => end(errors.fromDriver(operation, errors.unavailable("the stream ended"), "no")))
      stream.write(request)
    } catch (error) {
      // A channel that was closed throws.
      end(errors.fromDriver(operation, errors.unavailable(error), "no"))
    }
    return Effect.sync(stop)
  })
