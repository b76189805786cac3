/** The whole conformance suite on the other releases of etcd; one that is not to be had is named as not tested. */
import * as Etcd from "../harness/etcd.js"
import { describeServer } from "../harness/server.js"
import { overFailingLink } from "../support/etcdSuite.js"

for (const release of ["etcd 3.5", "etcd 3.6"] as const) {
  await describeServer(`EtcdStorage on ${release}`, Etcd.own(release), (server) => overFailingLink(server, 0.2))
}
