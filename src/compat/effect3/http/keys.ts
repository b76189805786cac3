/** By what key a program's client of HTTP is found, without a module that a program may not have. The twin is `effect4/http/keys.ts`. */
export const client = "@effect/platform/HttpClient"
