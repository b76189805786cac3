/** This process, as people read of it: its host and its process id. */
interface Platform {
  readonly process?: Partial<NodeJS.Process> | undefined
}

/** Host and process id, where there are such. Without an import of Node.js, which not every platform has. */
export const placeOf = ({ process }: Platform): { readonly host: string; readonly pid: number } =>
  typeof process?.pid !== "number"
    ? { host: "", pid: 0 }
    : { host: process.getBuiltinModule?.("node:os").hostname() ?? "", pid: process.pid }

/** Who holds a lock, as people want to read it. */
export const nameOf = (platform: Platform): string => {
  const { host, pid } = placeOf(platform)
  return pid === 0 ? "" : host === "" ? `pid ${pid}` : `${host} pid ${pid}`
}

export const thisProcess: string = nameOf(globalThis)
