/** `effect/http/HttpClientRequest` of Effect 4. For Effect 3 it is in a package of its own, which not every program has: only what is loaded for a program's own client imports it. */
export * from "@effect/platform/HttpClientRequest"
