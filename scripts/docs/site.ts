/** The site, made by typedoc: the API of the public modules, the guides, and the source files to which these lead. */
import * as Fs from "node:fs"
import * as Path from "node:path"
import {
  Application,
  Comment,
  CommentTag,
  Converter,
  DeclarationReflection,
  DocumentReflection,
  IndexEvent,
  MinimalSourceFile,
  type PageEvent,
  PageEvent as Pages,
  PageKind,
  type ProjectReflection,
  ReflectionKind,
  normalizePath
} from "typedoc"
import { highlightLanguages, markdown } from "./markdown.js"
import { groupOf, groups, guides, modules, root } from "./places.js"
import { Router } from "./router.js"
import { addSources, linkTemplate, linked } from "./sources.js"

const configured = (): Promise<Application> =>
  Application.bootstrap({
    name: "effect-storage-lock",
    tsconfig: Path.join(root, "tsconfig.json"),
    entryPoints: [...modules().values()].map((file) => Path.join(root, file)),
    projectDocuments: guides.map((pattern) => Path.join(root, pattern)),
    readme: Path.join(root, "README.md"),
    basePath: root,
    displayBasePath: root,
    // `npm run check` has checked them.
    skipErrorChecking: true,
    excludeExternals: true,
    excludeInternal: true,
    sort: ["kind", "instance-first", "alphabetical-ignoring-documents"],
    groupOrder: ["Guides", ...groups.map(([name]) => name).filter((name) => name !== "Guides"), "*"],
    navigation: { includeGroups: true, includeCategories: false, includeFolders: false },
    visibilityFilters: { inherited: true },
    searchInComments: true,
    searchInDocuments: true,
    searchGroupBoosts: { Guides: 1.5 },
    validation: { invalidLink: true, invalidPath: true, notExported: true, rewrittenLink: true },
    // What Effect 3 has under other names.
    intentionallyNotExported: ["src/compat/effect3/Context.ts:Reference", "src/compat/effect3/Schema.ts:Codec"],
    includeHierarchySummary: false,
    disableGit: true,
    gitRevision: "none",
    sourceLinkTemplate: linkTemplate,
    router: "repository",
    markdownItLoader: markdown,
    highlightLanguages,
    customCss: Path.join(root, "scripts/docs/site.css"),
    githubPages: false,
    includeVersion: true
  })

/** A page is called as its first heading. */
const headingOf = (document: DocumentReflection): string | undefined =>
  /^# (.+)$/m.exec(document.content.map(({ text }) => text).join(""))?.[1]?.replaceAll("`", "")

/** The comment at the head of a file: typedoc takes it for a module's only where a tag says so. */
const headOf = (app: Application, project: ProjectReflection, file: string): Comment => {
  const [, text = ""] = /^\/\*\*([^]*?)\*\//.exec(Fs.readFileSync(file, "utf8")) ?? []
  const [words = "", since = ""] = text.replace(/^ ?\*? ?/gm, "").split("@since ")
  const { content } = app.converter.parseRawComment(
    new MinimalSourceFile(words.trim(), normalizePath(file)),
    project.files
  )
  return new Comment(content, [new CommentTag("@since", [{ kind: "text", text: since.trim() }])])
}

const nameModules = (app: Application): void => {
  const names = new Map([...modules()].map(([name, file]) => [file.replace(/(\/index)?\.ts$/, ""), name]))
  app.converter.on(Converter.EVENT_CREATE_DECLARATION, (_, declaration: DeclarationReflection) => {
    if (declaration.kind !== ReflectionKind.Module) return
    const name = names.get(declaration.name)
    if (name === undefined) throw new Error(`${declaration.name} is no public module`)
    declaration.name = name
    declaration.comment = headOf(app, declaration.project, Path.join(root, modules().get(name)!))
  })
}

const nameGuides = (app: Application): void => {
  app.converter.on(Converter.EVENT_CREATE_DOCUMENT, (_, document: DocumentReflection) => {
    const file = Path.relative(root, document.project.files.getReflectionPath(document)!)
    Router.files.set(document, file)
    document.name = headingOf(document) ?? document.name
    document.frontmatter["group"] = groupOf(file)
  })
}

const fileOf = (model: unknown): string | undefined =>
  model instanceof DocumentReflection
    ? Router.files.get(model)
    : model instanceof DeclarationReflection
      ? model.sources?.[0]?.fileName
      : undefined

export interface Built {
  /** Typedoc has no error and no warning. */
  readonly isSound: boolean
  /** The file that a page is made of. */
  readonly sourceOf: (page: string) => string | undefined
}

/** Builds it into a folder. */
export const build = async (folder: string): Promise<Built> => {
  const sources = new Map<string, string>()
  const sourceOf = (page: string) => sources.get(page)
  const app = await configured()
  app.renderer.defineRouter("repository", Router)
  nameModules(app)
  nameGuides(app)
  const project = await app.convert()
  if (project === undefined) return { isSound: false, sourceOf }
  // The first page has the name of the package as its title.
  for (const part of project.readme!.slice(0, 1)) part.text = part.text.replace(/^# .*\n/, "")
  addSources(app, project)
  app.renderer.on(IndexEvent.PREPARE_INDEX, (event: IndexEvent) => {
    for (let i = event.searchResults.length - 1; i >= 0; i--)
      if (Router.aside.has(event.searchResults[i] as DocumentReflection)) event.removeResult(i)
  })
  app.renderer.on(Pages.END, (page: PageEvent) => {
    const source = page.pageKind === PageKind.Index ? "README.md" : fileOf(page.model)
    if (source !== undefined) sources.set(page.url, source)
    page.contents = linked(app, page)
  })
  app.validate(project)
  await app.generateDocs(project, folder)
  return { isSound: !app.logger.hasErrors() && !app.logger.hasWarnings(), sourceOf }
}
