/** The ensemble as a storage sees it: the root is there, and is the one that it was. */
import * as Effect from "#effect/Effect"
import type * as Scope from "#effect/Scope"
import type { StorageError } from "../../LockError.js"
import type { Answer } from "./client/connection.js"
import * as ensemble from "./client/ensemble.js"
import { Failure } from "./client/failure.js"
import * as protocol from "./client/protocol.js"
import * as errors from "./errors.js"
import type { ResolvedCommon } from "./options.js"
import * as options from "./options.js"
import type { Source } from "./source.js"

export interface Client {
  /** Of the root, with what stands in front of it. */
  readonly root: () => string
  /** With what a lock's node is made. */
  readonly acls: () => ReadonlyArray<protocol.Acl>
  /** Fails only if nothing was sent. */
  readonly send: (
    operation: string,
    requests: ReadonlyArray<protocol.Request<any>>,
    until: number
  ) => Effect.Effect<ReadonlyArray<Answer<any>>, StorageError>
  readonly listen: (
    on: (event: protocol.Event, send: ensemble.Send) => void,
    begun: () => void,
    patience: number
  ) => Effect.Effect<never, StorageError>
}

/** How long servers shall keep a session without a word, in milliseconds. It holds no lock: it only tells an outcome that was lost with a connection. */
const sessionTimeout = 30_000

/** What is asked for at the start; it stands in the root. */
const note = Buffer.from(
  "Locks of effect-storage-lock. Delete none of these nodes: free a lock by an empty value.",
  "utf8"
)

const parents = (path: string): ReadonlyArray<string> => {
  const all: Array<string> = []
  for (let at = path.indexOf("/", 1); at > 0; at = path.indexOf("/", at + 1)) all.push(path.slice(0, at))
  return all
}

/** The error in an answer to what only reads, or whose outcome is of no weight. */
export const faultOf = (operation: string, answer: Answer<unknown>): StorageError | undefined =>
  answer._tag === "Done"
    ? undefined
    : answer._tag === "Refused"
      ? errors.refused(operation, answer.code)
      : errors.failed(operation, answer.failure, "no")

export const make = (source: Source, common: ResolvedCommon): Effect.Effect<Client, never, Scope.Scope> =>
  Effect.gen(function* () {
    let root = common.root
    let access = common.acl ?? "open"
    /** Of the root. */
    let identity: number | undefined

    const told = (operation: string, error: StorageError | Failure): StorageError =>
      error instanceof Failure ? errors.failed(operation, error, "no") : error

    const reach = (until: number) =>
      Effect.flatMap(source("connect", until), (place) => {
        const found = place.chroot + common.root
        // What is under way names the nodes as they were.
        if (identity !== undefined && found !== root) return Effect.fail(errors.foreign("connect", found, false))
        root = found
        access = common.acl ?? (place.credentials.length > 0 ? "creator" : "open")
        return Effect.succeed(place)
      })

    /** Makes what is missing of the path. Who made it first is of no weight. */
    const create = (send: ensemble.Send, until: number): Effect.Effect<void, StorageError> =>
      Effect.flatMap(
        send(
          [
            ...parents(root).map((path) =>
              protocol.create(path, Buffer.alloc(0), [{ permissions: 31, scheme: "world", id: "anyone" }])
            ),
            protocol.create(root, note, options.acls(access, true))
          ],
          until
        ),
        (answers) => {
          const last = answers[answers.length - 1]!
          if (last._tag === "Refused" && last.code === protocol.code.nodeExists) return Effect.void
          const fault = faultOf("setup", last)
          return fault === undefined ? Effect.void : Effect.fail(fault)
        }
      )

    const confirm = (send: ensemble.Send, until: number, setup: boolean): Effect.Effect<void, StorageError> =>
      Effect.flatMap(send([protocol.sync(root), protocol.getData(root)], until), ([synced, found]) => {
        const isMissing = found!._tag === "Refused" && found!.code === protocol.code.noNode
        if (isMissing && identity === undefined) {
          return setup
            ? Effect.andThen(create(send, until), confirm(send, until, false))
            : Effect.fail(
                errors.schema(
                  "setup",
                  `there is no root ${JSON.stringify(root)}. Hint: \`ZookeeperStorage.ddl()\` tells how to make it, or leave out \`setup: false\``
                )
              )
        }
        if (isMissing) return Effect.fail(errors.foreign("connect", root, true))
        const fault = faultOf("connect", synced!) ?? faultOf("connect", found!)
        if (fault !== undefined) return Effect.fail(fault)
        const { czxid } = (found as Extract<Answer<protocol.Node>, { readonly _tag: "Done" }>).value.stat
        identity ??= czxid
        return identity === czxid ? Effect.void : Effect.fail(errors.foreign("connect", root, false))
      })

    const servers = yield* ensemble.make<StorageError>({
      reach,
      sessionTimeout,
      confirm: (send, until) => confirm(send, until, common.setup),
      passes: (error) => told("connect", error).isRetryable
    })

    return {
      root: () => root,
      acls: () => options.acls(access, false),
      send: (operation, requests, until) =>
        Effect.mapError(servers.send(requests, until), (error) => told(operation, error)),
      listen: (on, begun, patience) =>
        Effect.mapError(
          servers.listen(
            (send, until) =>
              Effect.flatMap(
                Effect.andThen(confirm(send, until, false), send([protocol.addRecursiveWatch(root)], until)),
                ([answer]) => {
                  const fault = faultOf("wakeUps", answer!)
                  if (fault !== undefined) return Effect.fail(fault)
                  begun()
                  return Effect.void
                }
              ),
            on,
            patience
          ),
          (error) => told("wakeUps", error)
        )
    }
  })
