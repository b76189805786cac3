/** The document of the API, made of the table of routes. */
import { named, problem } from "./model.js"
import { type Route, routes } from "./routes.js"
import type { Json, Schema } from "./schema.js"

const names = new Map<unknown, string>(Object.entries(named).map(([name, { json }]) => [json, name]))

/** With a reference in place of what has a name. */
const referring = (value: unknown, isTop = false): unknown => {
  const name = names.get(value)
  if (name !== undefined && !isTop) return { $ref: `#/components/schemas/${name}` }
  if (Array.isArray(value)) return value.map((item) => referring(item))
  return typeof value === "object" && value !== null
    ? Object.fromEntries(Object.entries(value).map(([key, item]) => [key, referring(item)]))
    : value
}

const content = (of: Schema<unknown> | string): Json =>
  typeof of === "string" ? { [of]: {} } : { "application/json": { schema: referring(of.json) } }

const responses = ({ answers }: Route): Json => ({
  ...Object.fromEntries(
    Object.entries(answers).map(([status, [description, of]]) => [status, { description, content: content(of) }])
  ),
  default: { description: "Any other refusal, of a host that is not known, say.", content: content(problem) }
})

const operation = (route: Route): Json => ({
  summary: route.summary,
  ...(route.path.includes("{id}")
    ? {
        parameters: [
          {
            name: "id",
            in: "path",
            required: true,
            description:
              "The id of the lock, percent-encoded. `.` and `..` cannot be asked for: URLs have no such paths.",
            schema: { type: "string" }
          }
        ]
      }
    : {}),
  ...(route.asks === undefined ? {} : { requestBody: { required: true, content: content(route.asks) } }),
  ...(route.needsToken === true ? { security: [{ token: [] }] } : {}),
  responses: responses(route)
})

const paths: Record<string, Record<string, Json>> = {}
for (const route of routes) (paths[route.path] ??= {})[route.method.toLowerCase()] = operation(route)

export const openapi = (version: string): Json => ({
  openapi: "3.1.0",
  info: {
    title: "storage-lock console",
    version,
    description: "What is held by whom, as the console sees it in the storage, and how to take a lock away."
  },
  paths,
  components: {
    securitySchemes: {
      token: { type: "http", scheme: "bearer", description: "Shown when the console starts with `--write`." }
    },
    schemas: Object.fromEntries(Object.entries(named).map(([name, { json }]) => [name, referring(json, true)]))
  }
})
