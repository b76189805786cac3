/** Of `sysname`, in UTF-16 units. */
const longestName = 128

export const nameRule = `a name of 1 to ${longestName} UTF-16 units, without NUL (it is quoted: any other character may occur)`

export const nameFault = (name: string): string | undefined =>
  name.length > longestName ? `a string of ${name.length} UTF-16 units` : undefined

const identifier = (name: string): string => `[${name.replaceAll("]", "]]")}]`

/** The table as it stands in statements: every part in brackets, which no setting of the connection turns off, so that a dot or a quote is a character like any other. */
export const qualified = (table: string, schema: string | undefined): string =>
  schema === undefined ? identifier(table) : `${identifier(schema)}.${identifier(table)}`

export const literal = (text: string): string => `N'${text.replaceAll("'", "''")}'`

/** Of names of databases: the server tells them in its own spelling. Its collation decides what is alike, and none tells apart what this does not. */
export const sameName = (a: string, b: string): boolean =>
  a.trimEnd().localeCompare(b.trimEnd(), "en", { sensitivity: "base" }) === 0
