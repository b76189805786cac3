/** A storage by its URL, without anything that could be a secret. */
export const nameOf = (url: string): string => {
  const scheme = /^[a-z][a-z0-9+.-]*(?=:)/i.exec(url)?.[0]?.toLowerCase() ?? "storage"
  if (!url.includes("://")) return scheme === "sqlite" ? url.split("?")[0]! : scheme
  const [, rest = ""] = /^[^:]*:\/\/([^?#]*)/.exec(url) ?? []
  // Up to the last @: a password that is not written as it should be may have one, or a slash, in it.
  const place = rest.slice(rest.lastIndexOf("@") + 1)
  return place === "" ? scheme : `${scheme}://${place}`
}
