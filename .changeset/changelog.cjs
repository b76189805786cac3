/** An entry is the changeset's own text: who upgrades asks what changed, not in which commit. */
module.exports = {
  getReleaseLine: async ({ summary }) => {
    const [first, ...rest] = summary.trim().split("\n")
    return [`- ${first}`, ...rest.map((line) => (line === "" ? "" : `  ${line}`))].join("\n")
  },
  getDependencyReleaseLine: async () => ""
}
