/** What a token has to be allowed, in the language of Consul's rules. */
export const policy = ({
  namespace,
  prefix
}: {
  readonly prefix: string
  readonly namespace: string | undefined
}): string => {
  // To write is to read and to list, too.
  const keys = `key_prefix "${prefix}" {\n  policy = "write"\n}\n`
  return namespace === undefined ? keys : `namespace "${namespace}" {\n${keys.replace(/^(?=.)/gm, "  ")}}\n`
}
