/** What imports `pg`. */
export { source } from "./connection.js"
export { pooled } from "./poolerCheck.js"
export { make as listen } from "./listener.js"
export { make } from "./pool.js"
export { make as overPool } from "./poolExecutor.js"
export { unheard } from "./url.js"
