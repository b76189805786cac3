/** What imports `mysql2`. */
export { source } from "./connection.js"
export { make as listen } from "./listener.js"
export { make } from "./pool.js"
