/** Nothing: there is no client of Effect 4 for SQL Server. The twin is `effect3/fromClient/mssql.ts`. */
export {}
