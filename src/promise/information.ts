/** What a program learns about a lock. */

/**
 * One of those who hold a read-write lock or permits of a semaphore.
 *
 * @since 0.5.0
 * @category models
 */
export interface Holder {
  /** Empty if an operator revoked this hold and its lease has not yet ended. */
  readonly ownerId: string
  readonly ownerLabel: string
  readonly token: number
  /** Of a read-write lock. */
  readonly mode?: "read" | "upgradable" | "write"
  /** Of a semaphore. */
  readonly permits?: number
  readonly lockBeginTime: Date
  readonly leaseExpireTime: Date
}

/**
 * What is known of a held lock, as the storage last reported it. Times are those of the storage's clock.
 *
 * @since 0.5.0
 * @category models
 */
export interface LockInformation {
  readonly lockId: string
  /** `"exclusive"`, `"readWrite"`, `"semaphore"`, or the kind of a program of its own. */
  readonly kind: string
  /** Empty if an operator revoked the lock and its lease has not yet ended. */
  readonly ownerId: string
  readonly ownerLabel: string
  /** Grows with every change of the lock. */
  readonly version: number
  /** Fencing token. Grows with every new hold. */
  readonly token: number
  /** How many times its owner holds it. */
  readonly lockCount: number
  readonly lockBeginTime: Date
  readonly leaseExpireTime: Date
  /** All who hold a read-write lock or a semaphore, oldest first, the first hundred of them. The fields above are those of the oldest. Absent for an exclusive lock. */
  readonly holders?: ReadonlyArray<Holder>
  /** How many they are in all. */
  readonly holderCount?: number
}
