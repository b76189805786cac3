import * as options from "../sql/options.js"
import * as names from "./names.js"

export type { Resolved } from "../sql/options.js"
export const { common, ddl } = options.make({ place: "schema", ...names })
