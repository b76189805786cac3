/** A tracer that remembers its spans, and may spoil them. The twin is `effect4/tracers.ts`. */
import * as Context from "effect/Context"
import * as DefaultServices from "effect/DefaultServices"
import * as Effect from "effect/Effect"
import * as Tracer from "effect/Tracer"

export const recording = <A, E, R>(
  self: (spans: ReadonlyArray<Tracer.Span>) => Effect.Effect<A, E, R>,
  spoil: (span: Tracer.Span) => void = () => {}
): Effect.Effect<A, E, R> =>
  Effect.suspend(() => {
    const spans: Array<Tracer.Span> = []
    const native = Context.get(DefaultServices.liveServices, Tracer.Tracer)
    const tracer = Tracer.make({
      span: (...given) => {
        const span = native.span(...given)
        spans.push(span)
        spoil(span)
        return span
      },
      context: (run) => run()
    })
    return Effect.withTracer(self(spans), tracer)
  })
