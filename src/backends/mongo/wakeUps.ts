/** MongoDB's change stream, as hints for those who wait. */
import * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import type * as Scope from "#effect/Scope"
import type * as Stream from "#effect/Stream"
import type { ChangeStream, Document } from "mongodb"
import type { StorageError } from "../../LockError.js"
import type { Connection } from "./clients.js"
import * as errors from "./errors.js"
import { briefly } from "../shared/briefly.js"
import * as hints from "../shared/hints.js"

export interface Options {
  readonly connection: Connection
  readonly database: string
  readonly collection: string
  /** How long the server may keep a question for changes, in milliseconds, before it says that there are none. */
  readonly quiet: number
  /** How much longer an answer may take before the stream is given up, in milliseconds. */
  readonly patience: number
}

/** Between questions to a server that has no change streams. */
const longestPause = Duration.minutes(1)

/**
 * Releases alone: `wake` changes with them and with nothing else. An update by a pipeline is told as what changed, or by older servers, and for whole
 * documents, as the document that it made.
 */
export const pipeline: ReadonlyArray<Document> = [
  {
    $match: {
      $or: [
        { operationType: "update", "updateDescription.updatedFields.wake": { $exists: true } },
        { operationType: "replace", $expr: { $eq: ["$fullDocument.wake", "$fullDocument.version"] } },
        { operationType: { $in: ["drop", "rename", "dropDatabase", "invalidate"] } }
      ]
    }
  },
  { $project: { operationType: 1, documentKey: 1 } }
]

/** A promise of the driver, waited for no longer than this. */
const within = <A>(millis: number, evaluate: () => Promise<A>): Effect.Effect<A, StorageError> =>
  Effect.tryPromise({ try: evaluate, catch: (cause) => errors.fromDriver("wakeUps", cause) }).pipe(
    Effect.timeoutOrElse({
      duration: Duration.millis(millis),
      orElse: () => Effect.fail(errors.noAnswer("wakeUps", millis))
    })
  )

/**
 * Hints by a change stream, which is opened at the first subscription, lives in the scope of the layer, and comes back whenever it ends; then whatever was released
 * meanwhile is not known, so it says `"all"`. Where there are no change streams it says nothing, and waiters poll.
 */
export const make = (options: Options): Effect.Effect<Stream.Stream<string>, never, Scope.Scope> =>
  Effect.suspend(() => {
    const outages = hints.outages("MongoStorage")
    let refusals = 0

    const open = Effect.acquireRelease(
      // The driver may refuse already here what the program's client is set to.
      Effect.try({
        try: () =>
          options.connection
            .db(options.database)
            .collection(options.collection)
            .watch([...pipeline], {
              maxAwaitTimeMS: options.quiet,
              readPreference: "primary",
              // The only one that change streams take, whatever the client's is.
              readConcern: { level: "majority" },
              promoteValues: true,
              raw: false
            }),
        catch: (cause) => errors.fromDriver("wakeUps", cause)
      }),
      (changes: ChangeStream) => briefly(options.patience, () => changes.close())
    )

    /** One stream, until it ends. A question that is not answered in time is the end of it: the connection may be dead in silence. */
    const listen = (tell: (hint: string) => void) =>
      Effect.scoped(
        Effect.gen(function* () {
          const changes = yield* open
          const next = within(options.quiet + options.patience, () => changes.tryNext() as Promise<Document | null>)
          // The first question opens the stream: from then on nothing is missed. The driver replaces a broken cursor by itself, and closes it first.
          let gap = true
          changes.on("close", () => {
            gap = true
          })
          const hear = (change: Document | null) => {
            if (gap) {
              gap = false
              tell("all")
            }
            const id: unknown = change?.documentKey?._id
            if (typeof id === "string") tell(id)
          }
          hear(yield* next)
          outages.over()
          refusals = 0
          return yield* Effect.forever(
            Effect.tap(next, (change) =>
              Effect.sync(() => hear(change)).pipe(
                Effect.andThen(
                  changes.closed ? Effect.fail(errors.unexpected("wakeUps", "the change stream ended")) : Effect.void
                )
              )
            )
          )
        })
      )

    return hints.make({
      listen,
      failed: (error) => {
        const first = outages.begins()
        // A server by itself (40573), or no right to it. It may be another one after its restart.
        const refused = errors.isRefusal(error)
        const right =
          errors.codeOf(error.cause) === 13
            ? " For wake-ups it needs changeStream on the collection, too; `wakeUps: false` does without"
            : ""
        const said = `MongoStorage: no wake-ups for now, waiters poll. ${error.message}${right}`
        return Effect.andThen(
          !first
            ? Effect.void
            : refused && error.reason !== "Permission"
              ? Effect.logInfo(said)
              : Effect.logWarning(said),
          refused ? Effect.sleep(Duration.min(longestPause, Duration.millis(500 * 2 ** refusals++))) : Effect.void
        )
      }
    })
  })
