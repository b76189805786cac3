/**
 * A text without the credentials that stand in URLs and connection strings. By where they stand and never by what they are: to look for the text of a password, in a message that happens to have it
 * for another reason, would tell it.
 */
export const withoutCredentials = (text: string): string =>
  text
    .replace(/([a-z][a-z0-9+.-]*:\/\/)[^\s"'`<>]*@/gi, "$1<redacted>@")
    .replace(
      /([?&;\s](?:password|pwd|passwd|token|access_token|secret)\s*=\s*)("[^"]*"|'[^']*'|[^&;\s"']*)/gi,
      "$1<redacted>"
    )
