/** The options of SQL Server's layers: their types, their checks and their defaults. */
import * as options from "../sql/options.js"
import * as names from "./names.js"

export type { Resolved } from "../sql/options.js"
export const { common, ddl, ddlAudit, nameOf } = options.make({ place: "schema", ...names })
