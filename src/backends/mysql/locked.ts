/**
 * A change under a lock of its row, in two packets. No server of this family can be told how long a transaction may be idle, and by itself it waits for hours for a client that is gone with its machine. So between the two
 * packets it waits for so many seconds only, whatever it does otherwise.
 */
import type { LockRecord } from "../../LockRecord.js"
import { type Locked, longestSilence } from "../sql/locked.js"
import { columnNames, type Row } from "../sql/record.js"
import { columns, t } from "./judge.js"
import { commit, decoded, hex, int, type Packet, rollback } from "./packet.js"

const hurry = `SET @esl_v = @@wait_timeout, SESSION wait_timeout = ${longestSilence / 1_000}`
const rest = "SET SESSION wait_timeout = @esl_v"

export interface Words {
  readonly table: string
  /** What begins a transaction. Where the clock is known inside a transaction only, this samples it, and `sample` is none. */
  readonly begin: ReadonlyArray<string>
  readonly sample: string | undefined
  readonly literals: (record: LockRecord) => ReadonlyArray<string>
}

const nobody: Row = { lock_id: null }

export const make = ({ begin, literals, sample, table }: Words): Locked<Packet> => {
  const query = (packet: Packet) => ({ statement: packet, values: [] })
  /** Ends the transaction with a row if `done` finds one. */
  const ending = (statements: ReadonlyArray<string>, done: number) =>
    query({ statements: [...statements, commit, rest], read: (results) => decoded(results[done]) })

  return {
    begin: (lockId) => {
      const look = `SELECT ${columns} FROM ${table} WHERE lock_id = ${hex(lockId)} LIMIT 1 FOR UPDATE`
      const statements = [hurry, ...begin, look, ...(sample === undefined ? [] : [sample]), `SELECT ${t} AS t LIMIT 1`]
      return query({
        statements,
        read: (results) => [
          {
            ...(decoded(results[statements.indexOf(look)])[0] ?? nobody),
            t: decoded(results[statements.length - 1])[0]!.t
          }
        ]
      })
    },
    // That it is there already is no error: that would end the packet in its middle.
    create: (record) =>
      ending(
        [
          "SET @esl_s = 0",
          `INSERT INTO ${table} (${columns}) VALUES (${literals(record).join(", ")})
ON DUPLICATE KEY UPDATE version = IF((@esl_s := 1) = 1, version, version)`,
          "SELECT 1 AS done FROM DUAL WHERE @esl_s = 0 LIMIT 1"
        ],
        2
      ),
    update: (record, expected) => {
      const at = `lock_id = ${hex(record.lockId)} AND version = ${int(expected)}`
      const values = literals(record)
      return ending(
        [
          `SELECT 1 AS done FROM ${table} WHERE ${at} LIMIT 1 FOR UPDATE`,
          `UPDATE ${table} SET ${columnNames
            .map((name, i) => `${name} = ${values[i]}`)
            .slice(1)
            .join(", ")} WHERE ${at}`
        ],
        0
      )
    },
    leave: query({ statements: [rollback, rest], read: () => [] })
  }
}
