/** How processes of ours are started, anywhere: as this one, by the loader of TypeScript, or without it where all has been compiled. */
export const loader: ReadonlyArray<string> & Array<string> = import.meta.url.endsWith(".ts")
  ? ["--import", import.meta.resolve("tsx")]
  : []
