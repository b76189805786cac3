/** Spans that synchronous code begins and ends. What both majors of Effect have in common. */
import * as Exit from "effect/Exit"
import type * as Tracer from "effect/Tracer"

export type Attributes = Readonly<Record<string, string | number | boolean>>

/** Gives attributes one by one: to gather them in an object first would cost more than the span. */
export type Describe = (attribute: (key: string, value: string | number | boolean) => void) => void

export interface Span {
  /** For what runs within it. */
  readonly span: Tracer.AnySpan
  readonly set: (describe: Describe) => void
  readonly event: (name: string, attributes?: Attributes) => void
  /** With a failure, if it came to one. Once. */
  readonly end: (failure?: unknown) => void
}

/** Begins a span beneath the one that was present where this was made; nothing, if the tracer throws. */
export type Start = (name: string, describe: Describe) => Span | undefined

/** One that a tracer begins. Whatever the tracer throws harms nobody: `failed` is told, once for a span. */
export const begin = (
  make: () => Tracer.Span,
  now: () => bigint,
  describe: Describe,
  failed: (defect: unknown) => void
): Span | undefined => {
  let isTold = false
  const safely = <A>(act: () => A): A | undefined => {
    try {
      return act()
    } catch (defect) {
      if (!isTold) failed(defect)
      isTold = true
      return undefined
    }
  }
  const span = safely(make)
  if (span === undefined) return undefined
  const set = (describe: Describe) => safely(() => describe((key, value) => span.attribute(key, value)))
  set(describe)
  return {
    span,
    set,
    event: (name, attributes) => safely(() => span.event(name, now(), attributes)),
    end: (failure) => safely(() => span.end(now(), failure === undefined ? Exit.void : Exit.fail(failure)))
  }
}
