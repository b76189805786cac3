/** Many readers, or one writer. */
import type { Mode } from "../LockRecord.js"
import { make } from "./shared.js"

const letters: Readonly<Record<Mode, string>> = { read: "r", upgradable: "u", write: "w" }
const modes = new Map(Object.entries(letters).map(([mode, letter]) => [letter, mode as Mode]))

/** Two reads always; a read that may become a write, with plain ones. */
const goTogether = (one: Mode, other: Mode): boolean =>
  one !== "write" && other !== "write" && !(one === "upgradable" && other === "upgradable")

/**
 * Reads go together; a write goes alone. What the owner itself holds does not keep it out.
 *
 * @since 0.5.0
 */
export const readWrite = make<Mode>({
  name: "readWrite",
  encode: (mode) => letters[mode],
  decode: (value) => modes.get(value as string),
  wanted: ({ mode = "write" }) => mode,
  fits: (holds, wanted, ownerId) => holds.every((hold) => hold.ownerId === ownerId || goTogether(hold.part, wanted)),
  passes: (holds, pending, wanted, ownerId) =>
    holds.some((hold) => hold.ownerId === ownerId) || goTogether(pending.part, wanted),
  ownerHasOneToken: true,
  isAlone: (mode) => mode === "write",
  describe: (mode) => ({ mode })
})
