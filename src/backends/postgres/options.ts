/** The options of a table and of statements, by the rules for names of PostgreSQL. */
import * as options from "../sql/options.js"
import * as names from "./names.js"

export type { Resolved } from "../sql/options.js"
export const { common, ddl, ddlAudit, nameOf } = options.make({ place: "schema", ...names })
