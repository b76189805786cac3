/** What a program learns about a lock. */

/**
 * What is known of a held lock, as the storage last reported it. Times are those of the storage's clock.
 *
 * @since 0.5.0
 * @category models
 */
export interface LockInformation {
  readonly lockId: string
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
}
