/** By what key a program's client of HTTP is found, without a module that Effect 3 does not have. The twin is `effect3/http/keys.ts`. */
export const client = "effect/HttpClient"
