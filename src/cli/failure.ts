/** Errors of the command line, with their exit codes. */
import {
  AuditUnavailable,
  InvalidLockId,
  InvalidOptions,
  LockLost,
  LockTimeout,
  MissingDriver,
  StorageError,
  UnknownScheme,
  UpgradeRefused
} from "../promise/errors.js"
import { codes } from "./codes.js"

/** A command line that cannot be run as it stands. `usage`: of which command to show it. */
export class UsageError extends Error {
  constructor(
    message: string,
    readonly command?: string
  ) {
    super(message)
  }
}

/** The exit code of an error that a person may meet. Anything else is a fault of ours, and shows its stack. */
export const codeOf = (error: unknown): number | undefined =>
  error instanceof UsageError ||
  error instanceof InvalidLockId ||
  error instanceof InvalidOptions ||
  error instanceof UnknownScheme ||
  error instanceof AuditUnavailable ||
  error instanceof UpgradeRefused
    ? codes.usage
    : error instanceof LockTimeout
      ? codes.busy
      : error instanceof LockLost
        ? codes.lost
        : error instanceof StorageError || error instanceof MissingDriver
          ? codes.storage
          : undefined
