/** What imports `mysql2`. */
export { source } from "./connection.js"
export { make } from "./pool.js"
