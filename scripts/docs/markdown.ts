/** What the site's markdown has beyond typedoc's: drawings in plain text, and source files with numbered lines. */

/** Those that the guides and the source files are written in. */
export const highlightLanguages = ["ts", "js", "json", "bash", "sql", "ini", "hcl", "yaml", "text"]

interface Token {
  info: string
}

type Rule = (tokens: Array<Token>, index: number, ...rest: ReadonlyArray<unknown>) => string

/** What is needed of the parser, whose types typedoc does not bring along. */
interface Parser {
  readonly renderer: { readonly rules: { fence: Rule } }
}

/** Each line by itself, so that a link can lead to it. */
const numbered = (html: string): string =>
  html.replace(/(<code[^>]*>)([^]*)(<\/code>)/, (_, open: string, inner: string, close: string) => {
    const lines = inner.replace(/\n$/, "").split(/<br\/?>|\n/)
    return `${open}${lines.map((line, index) => `<span class="line" id="L${index + 1}">${line}\n</span>`).join("")}${close}`
  })

export const markdown = (parser: unknown): void => {
  const { rules } = (parser as Parser).renderer
  const { fence } = rules
  rules.fence = (tokens, index, ...rest) => {
    const token = tokens[index]!
    // What is in no language is a drawing, or what a program prints.
    if (token.info.trim() === "") token.info = "text"
    const html = fence(tokens, index, ...rest)
    return token.info.endsWith(" lines") ? numbered(html) : html
  }
}
