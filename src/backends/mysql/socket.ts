/** The socket of a connection. No module of the driver is loaded for it. */
import type * as Mysql from "mysql2"
import type * as Net from "node:net"

export const streamOf = (connection: Mysql.Connection): Net.Socket =>
  (connection as unknown as { readonly stream: Net.Socket }).stream

/** At once. The driver's own `destroy` only says that nothing more is sent, and then waits for the server to hang up: on a dead network, for ever. */
export const hangUp = (connection: Mysql.Connection): void => {
  connection.destroy()
  streamOf(connection).destroy()
}
