/** Whether each link of the site leads somewhere: to a page or another file of it, and to an anchor that is there. And whether it needs nothing from elsewhere. */
import * as Fs from "node:fs"
import * as Path from "node:path"
import { inflateSync } from "node:zlib"

const entities: Readonly<Record<string, string>> = { lt: "<", gt: ">", quot: '"', "#39": "'", amp: "&" }

const unescaped = (text: string): string =>
  text.replace(/&(lt|gt|quot|#39|amp);/g, (_, name: string) => entities[name]!)

const valuesOf = (html: string, attributes: string): ReadonlyArray<string> =>
  [...html.matchAll(new RegExp(`<[a-z][^<>]*\\s(?:${attributes})="([^"]*)"`, "gi"))].map(([, value]) =>
    unescaped(value!)
  )

const isElsewhere = (link: string): boolean => /^([a-z][a-z+.-]*:|\/\/)/i.test(link)

/** What the browser fetches by itself. */
const fetched = (html: string): ReadonlyArray<string> => [
  ...valuesOf(html, "src"),
  ...[...html.matchAll(/<link [^<>]*href="([^"]*)"/g)].map(([, link]) => unescaped(link!))
]

/** Where the menu and the search lead: from the folder of the site on, which each page says where it is. */
const scripted = (folder: string): ReadonlyArray<readonly [asset: string, link: string]> =>
  ["assets/navigation.js", "assets/search.js"].flatMap((asset) => {
    const file = Path.join(folder, asset)
    if (!Fs.existsSync(file)) return []
    const [, packed = ""] = /"([^"]*)"/.exec(Fs.readFileSync(file, "utf8")) ?? []
    const text = inflateSync(Buffer.from(packed, "base64")).toString()
    return [...new Set([...text.matchAll(/"(?:url|path)":"([^"]*)"/g)].map(([, link]) => link!))].map(
      (link) => [asset, link] as const
    )
  })

/** What is wrong, one line each. `sourceOf`: where a page comes from, which is where a link is fixed. */
export const brokenLinks = (
  folder: string,
  sourceOf: (page: string) => string | undefined = () => undefined
): ReadonlyArray<string> => {
  const anchors = new Map<string, ReadonlySet<string>>()
  const hasAnchor = (file: string, anchor: string): boolean => {
    let known = anchors.get(file)
    if (known === undefined) anchors.set(file, (known = new Set(valuesOf(Fs.readFileSync(file, "utf8"), "id|name"))))
    return known.has(anchor)
  }
  const fault = (file: string, link: string): string | undefined => {
    const [path = "", anchor = ""] = link.split("#").map(decodeURIComponent)
    const target = path === "" ? file : Path.join(Path.dirname(file), path)
    if (Path.relative(folder, target).startsWith("..")) return "leads out of the site"
    if (!Fs.existsSync(target)) return "leads to no file"
    // A folder has a page only where a server says so.
    if (Fs.statSync(target).isDirectory()) return "leads to a folder"
    return anchor !== "" && target.endsWith(".html") && !hasAnchor(target, anchor)
      ? "leads to no place on its page"
      : undefined
  }
  const found = scripted(folder).flatMap(([asset, link]) => {
    const what = fault(Path.join(folder, "index.html"), link)
    return what === undefined ? [] : [`${asset}: ${link} ${what}`]
  })
  const onPages = Fs.readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".html"))
    .sort()
    .flatMap((page) => {
      const file = Path.join(folder, page)
      const html = Fs.readFileSync(file, "utf8")
      const source = sourceOf(page)
      const at = source === undefined ? page : `${page}, made of ${source}`
      const own = [...new Set(valuesOf(html, "href|src"))].filter((link) => !isElsewhere(link))
      const base = valuesOf(html, "data-base").filter(
        (link) => Path.relative(folder, Path.join(Path.dirname(file), link)) !== ""
      )
      return [
        ...base.map((link) => [link, "is not the folder of the site, from which menu and search lead on"] as const),
        ...own.map((link) => [link, fault(file, link)] as const),
        ...fetched(html)
          .filter((link) => isElsewhere(link) && !link.startsWith("data:"))
          .map((link) => [link, "is fetched from elsewhere"] as const)
      ].flatMap(([link, what]) => (what === undefined ? [] : [`${at}: ${link} ${what}`]))
    })
  return [...found, ...onPages]
}
