/** Who may import whom: `npm run lint` looks. Types count as much as values. */
const only = (name, from, to, comment) => ({ name, severity: "error", comment, from, to })

/** What core and backends both stand on: the ports, their records and errors, and small tools. */
const ports =
  "^src/(AuditStore|LockError|LockEvent|LockInformation|LockKind|LockRecord|Storage|TimeProvider|VersionedStore)\\.ts$|^src/(common|kinds)/"

/** Effect 4 by the means of Effect 3: whoever needs Effect imports it. */
const effect = "^src/compat/effect3/(?!fromClient/)"

module.exports = {
  forbidden: [
    only("no-circles", {}, { circular: true }, "What two modules share stands below both."),
    only(
      "ports-know-ports",
      { path: ports },
      { path: "^src/", pathNot: `${ports}|${effect}` },
      "A port knows neither who uses it nor who serves it."
    ),
    only(
      "core-knows-no-storage",
      { path: "^src/core/" },
      { path: "^src/", pathNot: `^src/core/|${ports}|${effect}` },
      "The core knows a storage by its port."
    ),
    only(
      "root-knows-no-driver",
      { path: "^src/(core/|common/|[A-Z]|backends/(memory|shared)/)" },
      { pathNot: "^src/|^node_modules/effect/" },
      "Without a driver, only `effect` is needed."
    ),
    only(
      "backends-know-ports",
      { path: "^src/backends/" },
      { path: "^src/", pathNot: `^src/backends/|^src/compat/effect3/|${ports}` },
      "A backend knows the algorithm by its ports."
    ),
    only(
      "backends-apart",
      { path: "^src/backends/([^/]+)/" },
      { path: "^src/backends/", pathNot: "^src/backends/($1|shared|sql|http)/" },
      "A backend knows no other; what two share is in shared/, sql/ or http/."
    ),
    only(
      "shared-by-backends",
      { path: "^src/backends/(shared|sql|http)/" },
      { path: "^src/backends/", pathNot: "^src/backends/(shared|sql|http)/" },
      "What backends share knows none of them."
    ),
    only(
      "kit-knows-no-storage",
      { path: "^src/testing/" },
      { path: "^src/(backends|core)/" },
      "The kit judges by the ports, and by what a program has."
    ),
    only(
      "found-by-url",
      { path: "^src/", pathNot: "^src/(connect|promise|cli)/" },
      { path: "^src/(connect|promise)/" },
      "Who is found by a URL, and who is wrapped in promises, knows nothing of it."
    ),
    only(
      "promises-know-no-backend",
      { path: "^src/promise/" },
      { path: "^src/backends/" },
      "Which storage a URL is for is known in one place."
    ),
    only(
      "published-alone",
      { path: "^src/" },
      { path: "^(test|evidence|examples|scripts)/" },
      "What is published needs nothing that is not."
    ),
    only(
      "compat-knows-effect",
      { path: effect },
      { path: "^src/", pathNot: "^src/compat/" },
      "What stands for Effect knows nothing of locks."
    ),
    only("resolves", {}, { couldNotResolve: true }, "An import leads somewhere.")
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    // These are of Effect 4, which is not installed here: `npm run test:effect4` looks.
    exclude: "^src/compat/effect4/",
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.json" },
    enhancedResolveOptions: { exportsFields: ["exports"], conditionNames: ["import", "types", "node", "default"] }
  }
}
