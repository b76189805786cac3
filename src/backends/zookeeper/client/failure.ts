/** Why there is no answer. */

/**
 * - `connect`: no connection was had, for what the network or TLS says.
 * - `refused`: the server closed the connection before it opened a session.
 * - `auth`: it does not accept who we are.
 * - `lost`: the connection ended.
 * - `silent`: nothing came in time.
 * - `odd`: what came is none of ZooKeeper's messages.
 * - `closed`: by us.
 */
export type Kind = "connect" | "refused" | "auth" | "lost" | "silent" | "odd" | "closed"

export class Failure extends Error {
  override readonly name = "ZooKeeperFailure"
  constructor(
    readonly kind: Kind,
    message: string,
    override readonly cause?: unknown
  ) {
    super(message)
  }
}

const messageOf = (error: unknown): string =>
  error instanceof AggregateError && error.message === ""
    ? error.errors.map(messageOf).join(", ")
    : error instanceof Error
      ? error.message
      : String(error)

export const of = (kind: Kind, error: unknown): Failure =>
  error instanceof Failure ? error : new Failure(kind, messageOf(error), error)
