/** As it is written in a URL: an IPv6 address in its brackets. */
export interface Host {
  readonly host: string
  readonly port: number
}

const one = /^(\[[0-9A-Fa-f:.%]+\]|[A-Za-z0-9._-]+)(?::(\d{1,5}))?$/

/** `host1:1,host2:2` as it stands in a URL of several servers. A text says what is wrong, and nothing of the value. */
export const hosts = (text: string, defaultPort: number): ReadonlyArray<Host> | string => {
  const all: Array<Host> = []
  for (const each of text.split(",")) {
    const found = one.exec(each)
    const port = Number(found?.[2] ?? defaultPort)
    if (found === null || port < 1 || port > 65_535) return "a URL with a host or port that cannot be read"
    all.push({ host: found[1]!, port })
  }
  return all
}
