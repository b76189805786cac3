/** The first answer of a server, before anything is told it. */

/** What speaks is no SQL Server, or not the one that was asked for. */
export class PreLoginFault extends Error {
  constructor(
    message: string,
    readonly code = "EPROTOCOL"
  ) {
    super(message)
    this.name = "PreLoginFault"
  }
}

/** Of each option that the driver reads, by its number, how many bytes it takes. Of a thread, only if it is there. */
const needed = new Map([
  [0, 6],
  [1, 1],
  [2, 1],
  [3, 4],
  [4, 1],
  [6, 1]
])
const thread = 3
const encryption = 1

/** The driver reads what is not there, and throws where nobody hears it; and if the server has no encryption, it logs in without. */
export const preLoginFault = (body: Buffer, encrypted: boolean): PreLoginFault | undefined => {
  let told: number | undefined
  let at = 0
  while (body[at] !== 0xff) {
    if (at + 5 > body.length) return new PreLoginFault("what listens there does not speak the protocol of SQL Server")
    const option = body[at]!
    const offset = body.readUInt16BE(at + 1)
    const size = option === thread && body.readUInt16BE(at + 3) === 0 ? 0 : (needed.get(option) ?? 0)
    if (offset + size > body.length)
      return new PreLoginFault("what listens there does not speak the protocol of SQL Server")
    if (option === encryption) told = body[offset]
    at += 5
  }
  // On, or required.
  return !encrypted || told === 1 || told === 3
    ? undefined
    : new PreLoginFault("the server offers no encryption, and nothing was told it", "ENOENCRYPTION")
}
