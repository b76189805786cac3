/** By a clock that is not told exactly, a lease is longer by what is not known, and its holder is not told so: nobody judges it to be over before whoever has it does. */

export const longer = <R extends { readonly lease: number }>(request: R, ahead: number): R =>
  ahead === 0 ? request : { ...request, lease: request.lease + ahead }

export const less = <O extends { readonly _tag: string }>(outcome: O, ahead: number): O =>
  ahead === 0 || !("validFor" in outcome) ? outcome : { ...outcome, validFor: (outcome.validFor as number) - ahead }
