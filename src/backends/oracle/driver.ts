/** What is used of `oracledb`, which has no types of its own: for the driver, and for whatever a program hands over. */

/** One bind: by name, with its type, so that no value decides how it is sent. */
export interface Bind {
  readonly dir: number
  readonly type: unknown
  readonly val?: unknown
  readonly maxSize?: number | undefined
}

export type Binds = Readonly<Record<string, Bind | number | string | Uint8Array | null>>

export interface ExecuteOptions {
  readonly autoCommit: boolean
  readonly outFormat: number
  readonly [name: string]: unknown
}

export interface Executed {
  readonly outBinds?: unknown
  readonly rows?: unknown
}

/** A connection of `oracledb`, as far as it is used. */
export interface Connection {
  readonly execute: (text: string, binds: Binds, options: ExecuteOptions) => Promise<Executed>
  readonly executeMany: (
    text: string,
    rows: ReadonlyArray<Readonly<Record<string, unknown>>>,
    options: ExecuteOptions & { readonly bindDefs: Readonly<Record<string, Bind>> }
  ) => Promise<Executed>
  readonly rollback: () => Promise<void>
  readonly break: () => Promise<void>
  readonly close: (options?: { readonly drop?: boolean }) => Promise<void>
  readonly on: (event: "error", listener: () => void) => unknown
  readonly oracleServerVersion?: number | undefined
  readonly transactionInProgress?: boolean | undefined
}

/** A pool of `oracledb`, as far as it is used. */
export interface Pool {
  readonly getConnection: () => Promise<Connection>
  readonly poolMax?: number | undefined
  readonly status?: number | undefined
}

/** The driver's own module, as far as it is used. */
export interface Driver {
  readonly getConnection: (attributes: Readonly<Record<string, unknown>>) => Promise<Connection>
  readonly BIND_IN: number
  readonly BIND_OUT: number
  readonly DB_TYPE_NUMBER: unknown
  readonly DB_TYPE_RAW: unknown
  readonly DB_TYPE_VARCHAR: unknown
  readonly OUT_FORMAT_OBJECT: number
  readonly POOL_STATUS_CLOSED: number
}
