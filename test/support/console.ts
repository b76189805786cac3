/** The console in this process, and how it is asked. */
import * as Http from "node:http"
import { cli } from "../../src/cli/cli.js"

export interface Console {
  readonly url: string
  /** If it was started with `--write` and made one. */
  readonly token: string | undefined
  readonly out: ReadonlyArray<string>
  readonly err: ReadonlyArray<string>
  /** As a signal does; gives the exit code. */
  readonly stop: () => Promise<number>
}

/** Over the storage at this URL, until it is stopped. It looks often: tests wait for what it sees. */
export const start = async (
  storage: string,
  flags: ReadonlyArray<string> = [],
  env: NodeJS.ProcessEnv = {}
): Promise<Console> => {
  const out: Array<string> = []
  const err: Array<string> = []
  const controller = new AbortController()
  let heard = () => {}
  const said = new Promise<void>((resolve) => (heard = resolve))
  const ended = cli(["console", "--port", "0", "--every", "50ms", ...flags], {
    env: { STORAGE_LOCK_URL: storage, ...env },
    out: (line) => {
      out.push(line)
      heard()
    },
    err: (line) => void err.push(line),
    draw: undefined,
    signal: controller.signal,
    onSignal: () => () => {}
  })
  await Promise.race([said, ended])
  if (out.length === 0) throw new Error(err.join("\n"))
  // What follows the first line is printed in the same turn.
  return {
    url: out[0]!,
    get token() {
      return /token for changes: (\S+)/.exec(out.join("\n"))?.[1]
    },
    out,
    err,
    stop: () => {
      controller.abort()
      return ended
    }
  }
}

export interface Reply {
  readonly status: number
  readonly headers: Http.IncomingHttpHeaders
  readonly body: string
  readonly json: any
}

/** With any header, as no browser would send it. */
export const ask = (
  url: string,
  {
    body,
    headers = {},
    method = "GET"
  }: { readonly method?: string; readonly headers?: object; readonly body?: string } = {}
): Promise<Reply> =>
  new Promise((resolve, reject) => {
    const request = Http.request(url, { method, headers: { ...headers } }, (response) => {
      let text = ""
      response.setEncoding("utf8").on("data", (data: string) => (text += data))
      response.on("error", reject)
      response.on("end", () => {
        const isJson = /^application\/json/.test(response.headers["content-type"] ?? "") && text !== ""
        resolve({
          status: response.statusCode!,
          headers: response.headers,
          body: text,
          json: isJson ? JSON.parse(text) : undefined
        })
      })
    })
    request.on("error", reject)
    request.end(body)
  })

export const lockAt = (url: string, lockId: string): string => `${url}locks/${encodeURIComponent(lockId)}`

/** As an operator does by a program. */
export const release = (
  { token, url }: Pick<Console, "url" | "token">,
  lockId: string,
  wish: unknown,
  headers: object = {}
): Promise<Reply> =>
  ask(`${lockAt(url, lockId)}/release`, {
    method: "POST",
    headers: {
      "Content-Type": "application/json",
      ...(token === undefined ? {} : { Authorization: `Bearer ${token}` }),
      ...headers
    },
    body: typeof wish === "string" ? wish : JSON.stringify(wish)
  })

export interface Told {
  readonly event: string
  readonly data: any
}

export interface Stream {
  readonly told: ReadonlyArray<Told>
  /** The first that is so, of all that were told or will be. */
  readonly first: (isSo: (told: Told) => boolean) => Promise<Told>
  readonly ended: Promise<void>
  readonly close: () => void
}

/** Reads server-sent events. */
export const listen = (url: string): Promise<Stream> =>
  new Promise((resolve, reject) => {
    const told: Array<Told> = []
    const waiting = new Set<() => void>()
    const request = Http.get(`${url}events`, (response) => {
      if (response.statusCode !== 200) {
        response.resume()
        return reject(new Error(`status ${response.statusCode}`))
      }
      let text = ""
      response.setEncoding("utf8").on("data", (data: string) => {
        text += data
        const blocks = text.split("\n\n")
        text = blocks.pop()!
        for (const block of blocks) {
          const event = /^event: (.*)$/m.exec(block)?.[1]
          const json = /^data: (.*)$/m.exec(block)?.[1]
          if (event !== undefined && json !== undefined) told.push({ event, data: JSON.parse(json) })
        }
        for (const look of waiting) look()
      })
      response.on("error", () => {})
      resolve({
        told,
        first: (isSo) =>
          new Promise((found) => {
            const look = () => {
              const one = told.find(isSo)
              if (one === undefined) return
              waiting.delete(look)
              found(one)
            }
            waiting.add(look)
            look()
          }),
        ended: new Promise((end) => response.on("close", end)),
        close: () => request.destroy()
      })
    })
    request.on("error", reject)
  })

/** The first change of this kind that is told of a lock. */
export const changeOf = (stream: Stream, lockId: string, kind: string): Promise<any> =>
  stream
    .first(
      ({ data, event }) => event === "look" && data.changes.some((_: any) => _.lockId === lockId && _.kind === kind)
    )
    .then(({ data }) => data.changes.find((_: any) => _.lockId === lockId && _.kind === kind))
