/** `effect/http/HttpClient` of Effect 4. */
export * from "@effect/platform/HttpClient"
