/** What imports `oracledb`. */
import oracledb from "oracledb"
import type { Driver } from "./driver.js"

export const driver: Driver = oracledb
