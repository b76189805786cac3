/**
 * ZooKeeper in detail: every option of the storage. Needs `ZOOKEEPER_URL`; `ZOOKEEPER_USER` is the name of a user, and `ZOOKEEPER_PASSWORD_FILE` a file with its password; `ZOOKEEPER_CA` is a file in
 * PEM for `zookeepers://`.
 */
import { Config, Effect, Layer, Option, Redacted } from "effect"
import { StorageLock, VersionedStore } from "effect-storage-lock"
import * as ZookeeperStorage from "effect-storage-lock/ZookeeperStorage"
import { readFileSync } from "node:fs"

// For locks alone: below it, each lock has a node.
const root = "/app/locks"

// What an administrator enters in zkCli.sh, for programs that may not make the root themselves: with `setup: false`.
console.log(ZookeeperStorage.ddl({ root, acl: "creator" }).trim())

const Locks = Layer.unwrapEffect(
  Effect.gen(function* () {
    // As in zookeeper://host1:2181,host2:2181,host3:2181. When one server does not serve, the next is tried.
    const url = yield* Config.redacted("ZOOKEEPER_URL")
    const name = yield* Config.option(Config.string("ZOOKEEPER_USER"))
    const password = yield* Config.string("ZOOKEEPER_PASSWORD_FILE").pipe(Config.withDefault(""))
    const ca = yield* Config.option(Config.string("ZOOKEEPER_CA"))
    return StorageLock.layer({ leaseExpireAfter: "20 seconds" }).pipe(
      Layer.provide(
        ZookeeperStorage.layer({
          url,
          root,
          // Read again for each new connection.
          user: Option.getOrUndefined(
            Option.map(name, (name) => () => ({ name, password: Redacted.make(readFileSync(password, "utf8").trim()) }))
          ),
          tls: Option.getOrUndefined(Option.map(ca, (file) => ({ ca: readFileSync(file) }))),
          // Where there is a user, nobody else may use what it makes.
          acl: Option.isSome(name) ? "creator" : "open",
          // Makes the root if it is missing.
          setup: true,
          // Longer than an election of a leader takes: some seconds.
          operationTimeout: "4 seconds",
          // Others change the same record at the same time: how often to try again.
          versionMissRetry: VersionedStore.defaultVersionMissRetry
        })
      )
    )
  })
)

const program = Effect.gen(function* () {
  const info = yield* StorageLock.withLock((lock) => lock.info, "nightly-report", { ownerLabel: "worker-1" })
  console.log(`${info.ownerLabel} held ${info.lockId}`)
  console.log(`and gave it back: ${!(yield* StorageLock.isLocked("nightly-report"))}`)
})

await Effect.runPromise(program.pipe(Effect.provide(Locks)))
