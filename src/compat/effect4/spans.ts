/** Spans that synchronous code begins and ends. The twin is `effect3/spans.ts`. */
import type * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import type { Fiber } from "effect/Fiber"
import * as Option from "effect/Option"
import * as Tracer from "effect/Tracer"
import { begin, type Start } from "../spans.js"
import { monotonicNanos } from "./clocks.js"

export type { Attributes, Describe, Span, Start } from "../spans.js"

export { withParentSpan } from "effect/Effect"

/** Keeps spans, and shows them to nobody. */
const silent = Context.get(Context.empty(), Tracer.Tracer)

/** Nothing if nobody looks: no tracer was provided, and there is no span to stand beneath. `failed`: what the tracer threw. */
export const of = (
  fiber: Fiber<any, any>,
  clock: Clock.Clock,
  failed: (defect: unknown) => void
): Start | undefined => {
  const { span: present, tracer: given, tracerEnabled } = fiber.cache
  const tracer = given ?? silent
  if (!tracerEnabled || (present === undefined && tracer === silent)) return undefined
  const parent = Option.fromNullishOr(present)
  const now = () => monotonicNanos(clock)
  return (name, describe) =>
    begin(
      () =>
        tracer.span({
          name,
          parent,
          annotations: Context.empty(),
          links: [],
          startTime: now(),
          kind: "client",
          root: false,
          sampled: present === undefined || present.sampled
        }),
      now,
      describe,
      failed
    )
}
