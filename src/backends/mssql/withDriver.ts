/** What imports `tedious`. */
export { make } from "./pool.js"
export { make as source } from "./source.js"
