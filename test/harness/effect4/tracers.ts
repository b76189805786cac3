/** A tracer that remembers its spans, and may spoil them. The twin is `effect3/tracers.ts`. */
import * as Effect from "effect/Effect"
import * as Tracer from "effect/Tracer"

export const recording = <A, E, R>(
  self: (spans: ReadonlyArray<Tracer.Span>) => Effect.Effect<A, E, R>,
  spoil: (span: Tracer.Span) => void = () => {}
): Effect.Effect<A, E, R> =>
  Effect.suspend(() => {
    const spans: Array<Tracer.Span> = []
    const tracer = Tracer.make({
      span: (options) => {
        const span = new Tracer.NativeSpan(options)
        spans.push(span)
        spoil(span)
        return span
      }
    })
    return Effect.withTracer(self(spans), tracer)
  })
