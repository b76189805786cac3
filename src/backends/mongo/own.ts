/** What imports `mongodb`. */
export { ofProgram, own } from "./clients.js"
export { common, url } from "./options.js"
export { open } from "./ports.js"
