import * as options from "../sql/options.js"
import { invalidName } from "./names.js"

export { defaultTable, type ResolvedCommon } from "../sql/options.js"

export const common = options.common(invalidName)
