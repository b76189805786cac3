/** The oldest major of Node.js that this package runs on. */
const oldest = 20

export const requireNode = (): void => {
  const version = globalThis.process?.versions?.node
  if (version !== undefined && Number.parseInt(version, 10) < oldest) {
    throw new Error(
      `effect-storage-lock needs Node.js ${oldest} or newer, and this is ${version}: install a newer one.`
    )
  }
}
