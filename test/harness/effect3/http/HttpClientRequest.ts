/** `effect/http/HttpClientRequest` of Effect 4. */
export * from "@effect/platform/HttpClientRequest"
