/** A move in words. */
import { Call, Give, head, kinds, slot, unit } from "./model.js"
import type { MoveName } from "./moves.js"
import type { System } from "./system.js"

const callKinds: Record<number, string> = {
  [Call.claim]: "claim",
  [Call.claimed]: "Claimed",
  [Call.refused]: "Held",
  [Call.renew]: "renewal",
  [Call.renewed]: "Renewed",
  [Call.notHeld]: "NotHeld"
}

const recordIn = (system: System, state: Buffer): string => {
  const record = system.record(state)
  if (record === undefined) return "no record"
  const holder =
    record.holds.length === 0
      ? "free"
      : `${record.ownerId === "" ? "revoked" : record.ownerId}[${record.holds.join(" ")}]`
  return `${holder} token ${record.token} until ${record.leaseExpireTime / unit}`
}

export const narrate = (system: System, before: Buffer, after: Buffer, move: MoveName, index: number): string => {
  const { bound, names } = system
  const clock = `t=${after[head.tick]}${bound.skew > 0 ? ` (storage ${system.storageTick(after)})` : ""}`
  let subject = ""
  let told = ""
  if (index >= 0) {
    const at = system.at(index)
    subject = `${names.holdId[index]} `
    const call = before[at + slot.call]!
    if (move === "the answer arrives" || move.startsWith("gives up")) told = ` (${callKinds[call] ?? "release"})`
    if (move.startsWith("its request")) {
      const gave = before[at + slot.give] === Give.release && after[at + slot.give] !== Give.release
      told = ` (${gave ? "release" : callKinds[call]})`
    }
    if (move === "its late request arrives") {
      let i = system.slots - bound.late
      while (before[i] === after[i]) i++
      told = ` (${kinds[Math.floor((before[i]! - 1) / names.count)]!.toLowerCase()})`
    }
  }
  const believers = names.holdId
    .map((hold, i) =>
      system.believes(after, i)
        ? `${hold} until ${after[system.at(i) + slot.until]} (token ${after[system.at(i) + slot.token]})`
        : ""
    )
    .filter((text) => text !== "")
  return `${clock.padEnd(bound.skew > 0 ? 16 : 5)} ${(subject + move + told).padEnd(72)} record: ${recordIn(system, after)}; believe to hold: ${
    believers.length === 0 ? "nobody" : believers.join(", ")
  }`
}
