/** By what key a program's service of sql is found, without a module that Effect 3 does not have. The twin is `effect3/sql/keys.ts`. */
export const client = "effect/sql/SqlClient"
