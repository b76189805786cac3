interface Platform {
  readonly process?: Partial<NodeJS.Process> | undefined
}

/** Host and process id, where there are such: who holds a lock, as people want to read it. Without an import of Node.js, which not every platform has. */
export const nameOf = ({ process }: Platform): string => {
  if (typeof process?.pid !== "number") return ""
  const os = process.getBuiltinModule?.("node:os")
  return os === undefined ? `pid ${process.pid}` : `${os.hostname()} pid ${process.pid}`
}

export const thisProcess: string = nameOf(globalThis)
