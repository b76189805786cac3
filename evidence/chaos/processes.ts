/** How processes of ours are started: anywhere, by the loader that runs these files. */
export const tsx: ReadonlyArray<string> & Array<string> = ["--import", import.meta.resolve("tsx")]
