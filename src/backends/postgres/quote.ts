/** How names and texts stand in statements: as `pg` writes them, which is not loaded before a storage is made. */

export const identifier = (name: string): string => `"${name.replaceAll('"', '""')}"`

/** Whatever `standard_conforming_strings` says: a text with a backslash says by itself that it is escaped. */
export const literal = (text: string): string => {
  const quoted = `'${text.replaceAll("'", "''").replaceAll("\\", "\\\\")}'`
  return text.includes("\\") ? ` E${quoted}` : quoted
}
