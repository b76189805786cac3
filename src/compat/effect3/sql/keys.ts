/** By what key a program's service of sql is found, without a module that a program may not have. The twin is `effect4/sql/keys.ts`. */
export const client = "@effect/sql/SqlClient"
