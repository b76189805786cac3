import { compile } from "./compile.js"
console.time("compile"); console.log(compile().folder); console.timeEnd("compile")
