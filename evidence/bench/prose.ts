/** What the tables of the report mean. */
import * as contention from "./contention.js"
import type { Plan } from "./rounds.js"
import * as stall from "./stall.js"
import * as upkeep from "./upkeep.js"

export const scenarioTexts = {
  cycle: {
    title: "Acquire and release, against others",
    charts: ["cycle", "cycle-64"],
    text: `All through Promises (ours as one run of an effect), each on a database, file or prefix of its own in one server, with a new lock id and a new lock object in each cycle. What opens a connection for each lock
is not run 64 at a time.`
  },
  statements: {
    title: "Statement by statement, against the bare driver",
    charts: [] as ReadonlyArray<string>,
    text: `The **Storage port** is \`Storage.claim\` and \`Storage.release\`; **StorageLock** is \`Effect.scoped(StorageLock.acquire(id, owner))\`, with its deadline, its renewal and its
release. The floor has the same statement texts (imported, not copied), prepared once and named, over a warm pool of the same size with the same settings of the connection, or a file of
its own with the same pragmas. It has no time limits, no queue, no renewal, no errors that tell what happened, and its ids are the cheapest that there are. For memory it is the library's own transition on a \`Map\`.`
  },
  roundTrips: {
    title: "Round trips",
    charts: [],
    text: `Of one acquire and its release of a new lock: statements or commands by the server's own count, and turns on the wire by a proxy. Opening of connections is in it only where each
lock opens one. A SQLite claim is a read and, unless the lock is held, a write; a release is a write.`
  },
  handOff: {
    title: "Hand-off",
    charts: ["hand-off"],
    text: `One process holds the lock for 200 to 400 ms while the other waits for it; then the roles change. The time is from just before the release is issued, in the one, until the acquire
has returned, in the other, both by \`process.hrtime\`, which reads one monotonic clock for all processes of a machine. It contains the commit of the release. What polls is measured at its default
and, once more, told to poll each 10 ms.`
  },
  contention: {
    title: "Contention",
    charts: ["contention-requests", "contention-wait"],
    text: `${contention.contenders} processes acquire one lock, hold it for ${contention.holdMillis} ms and release it, again and again. Requests are counted at the server. Overlaps are seen by a file that each
holder makes and removes, and that can be made by one only. The first second does not count. Medians of the runs, and their middle half.`
  },
  refresh: {
    title: "What renewals cost",
    charts: [],
    text: `One process, with a lease of ${(3 * upkeep.refreshMillis) / 1000} s: statements, CPU time of the process and time of the server in each refresh interval of ${upkeep.refreshMillis / 1000} s, in which each hold is renewed once.`
  },
  memory: {
    title: "Memory",
    charts: [],
    text: `Growth of the heap, after collection, by each hold of a lock of its own; and, of ours, by each acquire that waits for a lock that another process holds.`
  },
  profile: {
    title: "Where the time goes",
    charts: [],
    text: `By a profile of this process, for the bare driver and for ours: microseconds of one operation, in whose code they are spent. **Waiting** is nothing to do: the server, the disk and the wire. **Node** is sockets, timers,
promises and the system's calls; **adapter** is what this library has for that storage, and **lock** the rest of it; **Effect** are its fibers and scopes. What is built into the language counts for who calls it.
The profiler takes a sample each millisecond, which makes everything a little slower; what it takes itself counts as Node. The second table has the bytes of a hold, by whose code made them, while ten thousand are being renewed; what a hold keeps at rest is in the table of memory.`
  },
  stall: {
    title: "A storage that stalls",
    charts: ["stall"],
    text: `A holder with a lease of ${stall.lease} ms, some renewals, and then a storage that answers nothing for ${stall.stallMillis / 1000} s (a suspended server; on SQLite, another writer). The time is from there to the
signal, by whatever means the library has. Who is told after the lease has worked on while somebody else may have had the lock. Ours has a margin of ${stall.margin} ms, so that the latest moment is ${stall.lease - stall.margin} ms after the last renewal.`
  }
}

export const howMeasured = ({
  peersPlan,
  plan,
  runs
}: {
  readonly plan: Plan
  readonly peersPlan: Plan
  readonly runs: number
}): string =>
  `The lease is 10 s for all; durability is the same for both sides, and is named above. Library and benchmark are compiled to JavaScript, as they are in the package, and run in plain Node.

Where times of one process are compared, all take turns in blocks of about ${plan.blockMillis} ms, in an order that changes, for ${plan.rounds} rounds after ${plan.warmUp} that do not count (against others ${peersPlan.rounds}
after ${peersPlan.warmUp}); before all of it, the lock's own code ran ${plan.settle} times on memory, because the compiler of Node needs thousands of runs to settle. The first locks of a program are slower. A ratio is the median
over the rounds of (one / floor of the same round), with the quartiles beside it; microseconds are medians. Each operation checks its own answer. SQLite and memory are synchronous: 64 clients of one process go one after the
other there. What takes several processes was run ${runs} times, in an order that changes; the processes are young.

One client alone sleeps during each round trip to a server, and wakes to cold caches: the same steps then cost several times what they cost in a process that is busy, which is why the
lock adds more to a cycle alone than to one of 64 at a time.`
