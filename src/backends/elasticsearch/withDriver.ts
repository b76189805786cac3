/** What needs Node.js. */
export { open } from "./ports.js"
export { ofProgram, own } from "./reach.js"
