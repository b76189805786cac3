/** `effect/http/HttpClient` of Effect 4. For Effect 3 it is in a package of its own, which not every program has: published modules import types alone from here. */
export * from "@effect/platform/HttpClient"
