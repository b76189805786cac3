/** Pages with the source files to which guides and the API lead: the site has no other repository to show them. */
import * as Fs from "node:fs"
import * as Path from "node:path"
import {
  type Application,
  DocumentReflection,
  MinimalSourceFile,
  type PageEvent,
  type ProjectReflection,
  type SourceReference,
  normalizePath
} from "typedoc"
import { root } from "./places.js"
import { Router } from "./router.js"

/** What typedoc writes where something is defined, until it is known where that page is. */
export const linkTemplate = "source:{path}#L{line}"

/** What a browser shows or saves by itself. */
const media = /\.(png|svg|json|yml)$/

const languages: Readonly<Record<string, string>> = {
  ".ts": "ts",
  ".mjs": "js",
  ".js": "js",
  ".json": "json",
  "": "bash"
}

/** Longer than any fence within. */
const fence = "`".repeat(12)

const isFolder = (path: string): boolean => Fs.statSync(path).isDirectory()

const code = (file: string): string =>
  `# \`${Path.relative(root, file)}\`\n\n${fence}${languages[Path.extname(file)] ?? "text"} lines\n${Fs.readFileSync(file, "utf8").trimEnd()}\n${fence}\n`

const listing = (folder: string): string => {
  const rows = Fs.readdirSync(folder, { withFileTypes: true })
    .map((entry) => (entry.isDirectory() ? `${entry.name}/` : entry.name))
    .sort()
    .map((name) => `- [\`${name}\`](${name})\n`)
  return `# \`${Path.relative(root, folder)}/\`\n\n${rows.join("")}`
}

const isOurs = (path: string): boolean => path.startsWith(root) && !path.includes("/node_modules/")

/** Where things are defined. */
const sourcesOf = (project: ProjectReflection): ReadonlyArray<SourceReference> =>
  Object.values(project.reflections).flatMap((reflection) =>
    reflection.isDeclaration() || reflection.isSignature() ? (reflection.sources ?? []) : []
  )

/** Files and folders that something of the site leads to, and of which it has no page yet. */
const missing = (project: ProjectReflection): ReadonlyArray<string> => {
  const paths = [...project.files.getMediaPaths(), ...sourcesOf(project).map(({ fullFileName }) => fullFileName)]
  return [...new Set(paths)].filter(
    (path) => isOurs(path) && !media.test(path) && !pages.has(bare(path)) && Fs.existsSync(path)
  )
}

/** Links say `chaos` and `chaos/`. */
const bare = (path: string): string => path.replace(/\/$/, "")

const pages = new Map<string, DocumentReflection>()

const add = (app: Application, project: ProjectReflection, path: string): void => {
  const folder = isFolder(path)
  const name = Path.relative(root, path) + (folder ? "/" : "")
  const text = folder ? listing(path) : code(path)
  const file = new MinimalSourceFile(text, normalizePath(folder ? Path.join(path, "index") : path))
  const { content } = app.converter.parseRawComment(file, project.files)
  const document = new DocumentReflection(name, project, content, {})
  Router.files.set(document, folder ? `${name}index` : name)
  Router.aside.add(document)
  project.registerReflection(document, undefined, normalizePath(bare(path)))
  if (folder) project.files.registerReflectionPath(normalizePath(`${bare(path)}/`), document)
  pages.set(bare(path), document)
}

/** Adds a page for each of them, and for what these lead to. What is defined in other packages is not shown. */
export const addSources = (app: Application, project: ProjectReflection): void => {
  for (const source of sourcesOf(project)) if (!isOurs(source.fullFileName)) delete source.url
  for (let paths = missing(project); paths.length > 0; paths = missing(project))
    for (const path of paths) if (!pages.has(bare(path))) add(app, project, path)
}

/** Without a server, a folder does not stand for its first page. */
const withFirstPage = (html: string): string =>
  html.replace(
    / href="(\.\/|(?:\.\.\/)+)(#[^"]*)?"/g,
    (_, path: string, anchor = "") => ` href="${path}index.html${anchor}"`
  )

/** A page's text, with links to where things are defined. */
export const linked = (app: Application, page: PageEvent): string =>
  withFirstPage(page.contents!).replace(/"source:([^"#]*)#L(\d+)"/g, (_, path: string, line: string) => {
    const target = pages.get(Path.join(root, path))
    if (target === undefined) throw new Error(`${page.url} leads to ${path}, of which there is no page`)
    return `"${app.renderer.router!.relativeUrl(page.model, target)}#L${line}"`
  })
