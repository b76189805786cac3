/** What a claim makes of the row that it finds, in words of SQL. */
import * as LockRecord from "../../LockRecord.js"
import { columnNames } from "../sql/record.js"
import { hex } from "./packet.js"

type Column = (typeof columnNames)[number]

export const t = "@esl_t"
/** The server's own clock. `UTC_TIMESTAMP` is frozen for a statement, and knows no time zone. */
export const sample = `SET ${t} = TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6))`
export const columns = columnNames.join(", ")
/** Every text is bytes: a literal in quotes is of the character set of the session, where a comma may have two or four. */
export const comma = hex(",")
export const exclusive = hex(LockRecord.exclusive)

export const live = `LENGTH(holds) > 0 AND expires > ${t}`
export const newer = `format > ${LockRecord.format}`
export const known = `format <= ${LockRecord.format}`
/** No other row is renewed or freed: it is of another kind, or of a format that a later version knows. */
export const ours = `${known} AND kind = ${exclusive}`

/** What is claimed. `hold` stands behind a comma. */
export interface Wanted {
  readonly owner: string
  readonly hold: string
  readonly until: string
  readonly label: string
}

/** The delimiters keep an id from being found inside another. */
export const holds = (hold: string): string => `LOCATE(CONCAT(${hold}, ${comma}), CONCAT(holds, ${comma})) > 0`

export const without = (hold: string): string =>
  `LEFT(REPLACE(CONCAT(holds, ${comma}), CONCAT(${hold}, ${comma}), ${comma}), LENGTH(holds) - LENGTH(${hold}))`

const foreign = (owner: string): string => `owner_id <> ${owner} OR kind <> ${exclusive}`

/** Whether a row as it is read answers the claim already. */
export const answers = ({ hold, owner }: Pick<Wanted, "owner" | "hold">): string =>
  `(${newer} OR (${live} AND (${foreign(owner)} OR ${holds(hold)})))`

/**
 * The insert that decides, for what `select` gives. It always judges the *newest* version of the row, under its lock. `@esl_s`: 0 somebody else's (or not ours to touch), 1 ours and deeper, 2 free, 3 this hold is
 * in. The state is assigned first, and no column looks at another that was assigned before it. `tell` is a condition that is always true; it finds columns of which none has changed yet.
 */
export const take = (
  table: string,
  select: string,
  { hold, label, owner, until }: Wanted,
  tell?: (after: (name: Column) => string) => string
): string => {
  const state = `CASE WHEN ${newer} THEN 0 WHEN LENGTH(holds) = 0 OR expires <= ${t} THEN 2 WHEN ${foreign(owner)} THEN 0 WHEN ${holds(hold)} THEN 3 ELSE 1 END`
  const after: Readonly<Record<Column, string>> = {
    lock_id: "lock_id",
    kind: `IF(@esl_s = 2, ${exclusive}, kind)`,
    format: `IF(@esl_s = 2, ${LockRecord.format}, format)`,
    owner_id: `IF(@esl_s = 2, ${owner}, owner_id)`,
    holds: `CASE @esl_s WHEN 2 THEN ${hold} WHEN 1 THEN CONCAT(holds, ${hold}) ELSE holds END`,
    token: `IF(@esl_s = 2, GREATEST(token + 1, ${t}), token)`,
    version: "IF(@esl_s IN (1, 2), version + 1, version)",
    began: `IF(@esl_s = 2, ${t}, began)`,
    expires: `CASE @esl_s WHEN 2 THEN ${until} WHEN 1 THEN GREATEST(expires, ${until}) ELSE expires END`,
    data: "IF(@esl_s = 2, x'', data)",
    owner_label: `IF(@esl_s = 2, ${label}, owner_label)`
  }
  const assigned = (name: Column): string => {
    if (name === "kind") return `IF((@esl_s := ${state}) = 2, ${exclusive}, kind)`
    return name === "format" && tell !== undefined
      ? `CASE WHEN ${tell((other) => after[other])} THEN ${after.format} ELSE format END`
      : after[name]
  }
  return `INSERT INTO ${table} (${columns})
${select}
ON DUPLICATE KEY UPDATE
${columnNames
  .slice(1)
  .map((name) => `  ${name} = ${assigned(name)}`)
  .join(",\n")}`
}
