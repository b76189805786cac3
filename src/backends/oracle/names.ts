/** Of 12.2 and later, in bytes. */
const longestName = 128

export const nameRule = `a name of 1 to ${longestName} bytes of UTF-8, without NUL or double quotes. It is taken as it is: what was created without quotes is in upper case`

export const nameFault = (name: string): string | undefined => {
  const size = Buffer.byteLength(name)
  return size > longestName
    ? `a string of ${size} bytes`
    : name.includes('"')
      ? "a string with a double quote, which Oracle allows in no name"
      : undefined
}

const quoted = (name: string): string => `"${name}"`

/** The table as it stands in statements: every part quoted, so that a dot is a character like any other. */
export const qualified = (table: string, schema: string | undefined): string =>
  schema === undefined ? quoted(table) : `${quoted(schema)}.${quoted(table)}`

export const literal = (text: string): string => `'${text.replaceAll("'", "''")}'`
