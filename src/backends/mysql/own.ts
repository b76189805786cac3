/** What imports `mysql2`. */
export { source } from "./connection.js"
export { make as listen } from "./doorbell.js"
export { make } from "./pool.js"
