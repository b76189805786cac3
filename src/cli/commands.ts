/** What there is: one table for the parser, the help, and the completion of shells. */
export interface Flag {
  readonly name: string
  readonly short?: string
  /** How its value is called. If absent, it has none. */
  readonly value?: string
  readonly multiple?: true
  readonly help: string
}

export interface Command {
  readonly name: string
  readonly help: string
  readonly positionals: string
  readonly flags: ReadonlyArray<Flag>
  /** More than one line can say. */
  readonly notes?: string
}

/** Where the locks are. */
const storage: ReadonlyArray<Flag> = [
  {
    name: "url-env",
    value: "NAME",
    help: "the environment variable with the URL of the storage (default STORAGE_LOCK_URL)"
  },
  { name: "url-file", value: "FILE", help: "a file with the URL of the storage" },
  { name: "namespace", value: "TEXT", help: "the namespace of the locks" },
  {
    name: "option",
    short: "o",
    value: "NAME=VALUE",
    multiple: true,
    help: "an option of the storage, as table=locks or setup=false"
  }
]

const json: Flag = { name: "json", help: "JSON, a line for each" }

const urlNote =
  "The URL is an argument, or in $STORAGE_LOCK_URL, or in a file. As an argument it must not have a password: everybody on this machine can read arguments."

export const commands: ReadonlyArray<Command> = [
  {
    name: "run",
    help: "runs a command under a lock",
    positionals: "[URL] LOCK -- COMMAND [ARGUMENT…]",
    flags: [
      { name: "read", help: "take it to read, beside others that read" },
      { name: "write", help: "take it to write: alone, also where others read" },
      { name: "limit", value: "NUMBER", help: "take it as a semaphore, of which so many permits may be had at once" },
      { name: "permits", value: "NUMBER", help: "how many of these (default 1)" },
      { name: "try", help: "do not wait: exit with 75 if somebody else has the lock" },
      { name: "wait", value: "TIME", help: "wait so long, as 30s or 5m; a number alone is seconds (default: forever)" },
      {
        name: "lease",
        value: "TIME",
        help: "how long after a crash of this machine the lock becomes free (default 30s)"
      },
      { name: "hold-at-most", value: "TIME", help: "end the command after so long" },
      {
        name: "grace",
        value: "TIME",
        help: "between TERM and KILL (default: a sixth of the lease, or of --hold-at-most)"
      },
      { name: "owner", value: "TEXT", help: "the owner id, to enter a lock that this owner holds" },
      { name: "label", value: "TEXT", help: "what others are shown as the holder (default: host and process id)" },
      { name: "quiet", short: "q", help: "say nothing but errors" },
      ...storage
    ],
    notes: `Without --read, --write and --limit the lock is exclusive. All kinds exclude each other on one lock.

The command has STORAGE_LOCK_ID, STORAGE_LOCK_OWNER and STORAGE_LOCK_TOKEN in its environment: send the token with what it writes.

If the lock is about to be lost, the command and all that it has started get TERM, and KILL before anybody else can have the lock. Signals are passed on.

Exit codes: the command's own; 75 somebody else has the lock; 69 the storage cannot be used; 70 the lock was lost; 64 usage; 126, 127 the command cannot be run, or is not found; 128 + n if a signal ended it.

${urlNote}`
  },
  {
    name: "list",
    help: "lists the locks that somebody holds, a line for each hold",
    positionals: "[URL]",
    flags: [json, ...storage],
    notes: urlNote
  },
  {
    name: "get",
    help: "shows who holds a lock; exits with 1 if nobody does",
    positionals: "[URL] LOCK",
    flags: [json, ...storage],
    notes: urlNote
  },
  {
    name: "watch",
    help: "shows the locks that somebody holds, as they change",
    positionals: "[URL] [LOCK…]",
    flags: [
      { name: "every", value: "TIME", help: "how often to look (default 1s)" },
      { name: "count", value: "NUMBER", help: "look so often, and end" },
      json,
      ...storage
    ],
    notes: `In a terminal it is a table that is redrawn. Elsewhere, and with --json, it is a line for each change.

${urlNote}`
  },
  {
    name: "console",
    help: "serves a page with the locks, and an API for programs",
    positionals: "[URL]",
    flags: [
      { name: "port", value: "NUMBER", help: "where it listens, 0 for any port that is free (default 7171)" },
      { name: "host", value: "ADDRESS", help: "at which address (default 127.0.0.1: for this machine alone)" },
      {
        name: "allow-host",
        value: "NAME",
        multiple: true,
        help: "a name by which it may be called, beside localhost"
      },
      { name: "every", value: "TIME", help: "how often to look while somebody watches (default 1s)" },
      { name: "write", help: "let those who know the token release locks" },
      { name: "token-file", value: "FILE", help: "a file with the token" },
      ...storage
    ],
    notes: `It prints the URL of the page, and runs until a signal ends it. With --write it also prints a token, unless there is one in $EFFECT_STORAGE_LOCK_CONSOLE_TOKEN or in a file.

${urlNote}`
  },
  {
    name: "audit",
    help: "shows what has happened to locks, where programs keep that",
    positionals: "[URL] [LOCK]",
    flags: [
      { name: "since", value: "TIME", help: "only the last so long, as 30m, 1h or 7d" },
      { name: "follow", short: "f", help: "go on with what happens from now on" },
      { name: "limit", value: "NUMBER", help: "so many, and end" },
      { name: "name", value: "NAME", help: "what the table, collection, stream or index is called" },
      json,
      ...storage
    ],
    notes: `Programs keep it with LockAudit, or with the option audit of connect. The oldest comes first.

${urlNote}`
  },
  {
    name: "release",
    help: "takes a lock away from its holder",
    positionals: "[URL] LOCK",
    flags: [
      { name: "token", value: "NUMBER", help: "the token of the hold, as list and get show it; others' holds go on" },
      { name: "now", help: "free it at once, though its holder may go on until it notices" },
      json,
      ...storage
    ],
    notes: `Without --now the lock stays blocked until its lease ends. Its holder notices before that, and its body is told to end: one that hangs, or does not listen, goes on, so end its process as well. With --now somebody else can have the lock while the former holder still works: make sure that it is dead. Exits with 1 if the hold with this token is over already.

${urlNote}`
  },
  {
    name: "ddl",
    help: "prints what the storage needs to be there, for those who set it up themselves",
    positionals: "[URL]",
    flags: [{ name: "audit", help: "what the audit needs, and not the locks" }, ...storage],
    notes: urlNote
  },
  {
    name: "doctor",
    help: "looks at the storage and how it is set, and says what is wrong and how to fix it",
    positionals: "[URL]",
    flags: [json, ...storage],
    notes: `It only reads, but for a lock of its own with a random name, which it takes, renews and frees.

Exit codes: 0 nothing is wrong, or notes alone; 1 there is an error or a warning; 64 usage.

${urlNote}`
  },
  {
    name: "completion",
    help: "prints the completion for a shell",
    positionals: "bash|zsh|fish",
    flags: []
  }
]

export const find = (name: string): Command | undefined => commands.find((command) => command.name === name)
