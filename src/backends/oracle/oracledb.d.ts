/** The driver has no types. What of it is used is in `driver.ts`. An ambient module cannot import that: it can only name it. */
/* eslint-disable @typescript-eslint/consistent-type-imports */
declare module "oracledb" {
  const driver: import("./driver.js").Driver & {
    readonly createPool: (
      attributes: Readonly<Record<string, unknown>>
    ) => Promise<import("./driver.js").Pool & { readonly close: (drainTime: number) => Promise<void> }>
  }
  export default driver
}
