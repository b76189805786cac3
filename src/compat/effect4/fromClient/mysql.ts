/** Nothing: there is no client of Effect 4 for MySQL. The twin is `effect3/fromClient/mysql.ts`. */
export {}
