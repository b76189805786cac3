/** Where each page of the site stands: a guide and a source file where it stands in the repository, a module by its name. */
import {
  type DocumentReflection,
  KindRouter,
  type PageDefinition,
  type ProjectReflection,
  type Reflection
} from "typedoc"

export class Router extends KindRouter {
  /** Pages that the menu and the search leave out. */
  static readonly aside = new Set<DocumentReflection>()
  /** The file of each document, from the root of the repository on. */
  static readonly files = new Map<Reflection, string>()

  override buildPages(project: ProjectReflection): Array<PageDefinition> {
    const pages = super.buildPages(project)
    for (const document of Router.aside) this.buildChildPages(document, pages)
    return pages
  }

  protected override getIdealBaseName(reflection: Reflection): string {
    const file = Router.files.get(reflection)
    return file === undefined ? super.getIdealBaseName(reflection) : file.replace(/\.md$/, "")
  }
}
