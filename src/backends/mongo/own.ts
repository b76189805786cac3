/** What imports `mongodb`. */
export { ofProgram, own } from "./clients.js"
export { open } from "./ports.js"
export { url } from "./url.js"
