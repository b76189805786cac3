/** What imports `mongodb`. */
export { ofProgram, own } from "./clients.js"
export { make as executor } from "./driver.js"
export { open } from "./ports.js"
export { url } from "./url.js"
