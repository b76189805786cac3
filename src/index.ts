/**
 * @since 0.1.0
 */
import "#effect/major"
export * as LockError from "./LockError.js"
export * as LockInformation from "./LockInformation.js"
export * as LockRecord from "./LockRecord.js"
export * as MemoryStorage from "./backends/memory/MemoryStorage.js"
export * as Storage from "./Storage.js"
export * as StorageLock from "./StorageLock.js"
export * as VersionedStore from "./VersionedStore.js"
