/** Names of schemas and tables by MySQL's rules. */
const longestName = 64

export const nameRule = `a name of 1 to ${longestName} characters of the basic plane, without NUL or a space at its end (it is quoted: any other character may occur)`

export const nameFault = (name: string): string | undefined =>
  name.length > longestName
    ? `a string of ${name.length} characters`
    : /[\uD800-\uDFFF]/.test(name)
      ? "a string with a character beyond the basic plane"
      : name.endsWith(" ")
        ? "a string that ends with a space"
        : undefined

const quoted = (name: string): string => `\`${name.replaceAll("`", "``")}\``

/** The table as it stands in statements: every part quoted, so that a dot or a quote is a character like any other. */
export const qualified = (table: string, database: string | undefined): string =>
  database === undefined ? quoted(table) : `${quoted(database)}.${quoted(table)}`
