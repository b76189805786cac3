/** What an operator does to nodes by hand. */
import * as Effect from "#effect/Effect"
import type { Answer } from "../../src/backends/zookeeper/client/connection.js"
import * as ensemble from "../../src/backends/zookeeper/client/ensemble.js"
import type { Writer } from "../../src/backends/zookeeper/client/jute.js"
import * as protocol from "../../src/backends/zookeeper/client/protocol.js"

interface Server {
  readonly host: string
  readonly port: number
}

const nothing = <A>(type: number, write: (writer: Writer) => unknown): protocol.Request<A> => ({
  type,
  write,
  read: () => undefined as A
})

export const nameOf = (lockId: string): string => Buffer.from(lockId, "utf8").toString("base64url")

export const anyone = (permissions: number): protocol.Acl => ({ permissions, scheme: "world", id: "anyone" })

const all = 31

/** `credentials`: as `user:password`. */
export const make = (server: Server, credentials?: string) =>
  Effect.map(
    ensemble.make<Error>({
      reach: () =>
        Effect.succeed({
          servers: [server],
          tls: undefined,
          credentials: credentials === undefined ? [] : [{ scheme: "digest", value: Buffer.from(credentials, "utf8") }]
        }),
      sessionTimeout: 10_000,
      confirm: () => Effect.void,
      passes: () => true
    }),
    ({ send }) => {
      /** Its value, or the code of what was refused. */
      const ask = <A>(request: protocol.Request<A>): Effect.Effect<A | number> =>
        Effect.map(Effect.orDie(send([request], performance.now() + 60_000)), ([answer]) => {
          const { _tag } = answer as Answer<A>
          if (_tag === "Done") return (answer as Extract<Answer<A>, { readonly _tag: "Done" }>).value
          if (_tag === "Refused") return (answer as Extract<Answer<A>, { readonly _tag: "Refused" }>).code
          throw new Error(`no answer: ${_tag}`)
        })
      const remove = (path: string) => ask(nothing<undefined>(2, (writer) => writer.text(path).int(-1)))
      const setAcl = (path: string, acls: ReadonlyArray<protocol.Acl>) =>
        ask(
          nothing<undefined>(7, (writer) => {
            writer.text(path).int(acls.length)
            for (const { id, permissions, scheme } of acls) writer.int(permissions).text(scheme).text(id)
            return writer.int(-1)
          })
        )
      return {
        create: (path: string, text = "", acls: ReadonlyArray<protocol.Acl> = [anyone(all)]) =>
          ask(protocol.create(path, Buffer.from(text, "utf8"), acls)),
        get: (path: string) =>
          Effect.map(ask(protocol.getData(path)), (found) =>
            typeof found === "number" ? found : { text: found.data.toString("utf8"), ...found.stat }
          ),
        set: (path: string, text: string, version: number) =>
          ask(protocol.setData(path, Buffer.from(text, "utf8"), version)),
        children: (path: string) => ask(protocol.getChildren(path)),
        /** At any version. */
        remove,
        /** What nobody may delete. */
        erase: (path: string) =>
          Effect.andThen(setAcl(path.slice(0, path.lastIndexOf("/")) || "/", [anyone(all)]), remove(path)),
        setAcl,
        getAcl: (path: string) =>
          ask<ReadonlyArray<protocol.Acl>>({
            type: 6,
            write: (writer) => writer.text(path),
            read: (reader) =>
              reader.list(() => ({ permissions: reader.int(), scheme: reader.text(), id: reader.text() }))
          })
      }
    }
  )
