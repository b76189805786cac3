/** `effect/http/FetchHttpClient` of Effect 4. */
export * from "@effect/platform/FetchHttpClient"
