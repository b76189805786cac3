/** The package's own names, as its tests and examples import it. */
import { fileURLToPath } from "node:url"

const src = fileURLToPath(new URL("../../src/", import.meta.url))

export const aliases = [
  { find: /^effect-storage-lock$/, replacement: `${src}index.ts` },
  { find: /^effect-storage-lock\/testing$/, replacement: `${src}testing/index.ts` },
  { find: /^effect-storage-lock\/SqlFence$/, replacement: `${src}backends/sql/SqlFence.ts` },
  ...["StorageLock", "Storage", "VersionedStore", "LockRecord", "LockInformation", "LockError"].map((name) => ({
    find: new RegExp(`^effect-storage-lock/${name}$`),
    replacement: `${src}${name}.ts`
  })),
  ...["Memory", "Sqlite", "Postgres", "Mysql", "Mssql", "Mongo", "Redis", "Etcd"].map((name) => ({
    find: new RegExp(`^effect-storage-lock/${name}Storage$`),
    replacement: `${src}backends/${name.toLowerCase()}/${name}Storage.ts`
  }))
]
