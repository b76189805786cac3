/** What of a server, by its state, weakens the promises. The layer warns of it, the doctor tells the cure, too. */
import type { Finding } from "../../common/checkup.js"
import type { Status } from "./protocol.js"

/** What makes room. */
export const makeRoom =
  "etcdctl compact $(etcdctl endpoint status -w json | jq '.[0].Status.header.revision'); etcdctl defrag --cluster; etcdctl alarm disarm; and a greater --quota-backend-bytes, or --auto-compaction-retention=1h"

export const findings = ({
  errors,
  isLearner,
  version
}: Pick<Status, "errors" | "isLearner" | "version">): ReadonlyArray<Finding> => [
  ...(isLearner
    ? [
        {
          check: "member",
          severity: "error",
          wrong: "the endpoint is a learner",
          leads: "it serves no linearizable read, and every operation will fail",
          cure: "give the endpoints of voting members, or etcdctl member promote"
        } as const
      ]
    : []),
  ...errors.map((alarm): Finding => {
    const isFull = /NOSPACE/.test(alarm)
    return {
      check: "alarm",
      severity: "error",
      wrong: "the cluster reports",
      leads: alarm,
      cure: isFull ? makeRoom : "etcdctl alarm list; a member whose data is corrupt has to be removed, and added again"
    }
  }),
  ...(/^3\.[0-3]\./.test(version)
    ? [
        {
          check: "version",
          severity: "warning",
          wrong: `etcd ${version} is older than 3.4`,
          leads: "this library is not tested on it; before 3.3 it cannot renew several holds at once",
          cure: "update the cluster"
        } as const
      ]
    : [])
]
