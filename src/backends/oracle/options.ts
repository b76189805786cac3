/** The options of Oracle's layers: their types, their checks and their defaults. */
import * as options from "../sql/options.js"
import * as names from "./names.js"

export type { Resolved } from "../sql/options.js"
// What Oracle calls a table that is created without quotes.
export const { common, ddl } = options.make({ place: "schema", defaultTable: "STORAGE_LOCK", ...names })
