import * as Duration from "#effect/Duration"
import { shortestMemory } from "../Storage.js"

/** For how long a record must have been free when it is purged, in microseconds. */
export const freeFor = (olderThan: Duration.Input): number =>
  Math.ceil(Math.max(Duration.toMillis(Duration.fromInputUnsafe(olderThan)), Duration.toMillis(shortestMemory)) * 1000)
