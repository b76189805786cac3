/** Spans that synchronous code begins and ends. The twin is `effect4/spans.ts`. */
import * as effect from "effect"
import type * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import type { RuntimeFiber } from "effect/Fiber"
import * as Option from "effect/Option"
import * as Tracer from "effect/Tracer"
import { begin, type Start } from "../spans.js"
import { monotonicNanos } from "./clocks.js"

export type { Attributes, Describe, Span, Start } from "../spans.js"

export { withParentSpan } from "effect/Effect"

/** Keeps spans, and shows them to nobody. */
const silent = Context.get(effect.DefaultServices.liveServices, Tracer.Tracer)

/** Nothing if nobody looks: no tracer was provided, and there is no span to stand beneath. `failed`: what the tracer threw. */
export const of = (
  fiber: RuntimeFiber<any, any>,
  clock: Clock.Clock,
  failed: (defect: unknown) => void
): Start | undefined => {
  const { currentSpan, currentTracer } = fiber
  if (currentSpan === undefined && currentTracer === silent) return undefined
  if (!fiber.getFiberRef(effect.FiberRef.currentTracerEnabled)) return undefined
  const parent = Option.fromNullable(currentSpan)
  const now = () => monotonicNanos(clock)
  return (name, describe) =>
    begin(() => currentTracer.span(name, parent, Context.empty(), [], now(), "client"), now, describe, failed)
}
