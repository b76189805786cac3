/** Authorities, and certificates of a server and its clients, in PEM; readable for a server that runs as another user. */
import { execFileSync } from "node:child_process"
import * as Effect from "#effect/Effect"
import type * as Scope from "#effect/Scope"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { ServerUnavailable } from "./server.js"

export interface Certificates {
  readonly at: (name: string) => string
  readonly read: (name: string) => string
  /** One more: `name.pem` and `name.key`. `names`: as openssl writes them, those of this machine by default. `days`: below zero for one that has expired. */
  readonly issue: (
    name: string,
    options: { readonly authority?: "ca" | "other"; readonly names?: string; readonly days?: number }
  ) => void
}

const readable = (directory: string) => execFileSync("chmod", ["-R", "a+rX", directory])

/** Two authorities, `ca` and `other`; `server` and `client` are of the first. */
export const make = (directory: string): Certificates => {
  const openssl = (...args: ReadonlyArray<string>) => execFileSync("openssl", args, { cwd: directory, stdio: "ignore" })
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
  const at = (name: string) => join(directory, name)
  for (const authority of ["ca", "other"])
    openssl(
      "req",
      "-x509",
      ...key,
      "-days",
      "2",
      "-subj",
      `/CN=authority ${authority}`,
      "-keyout",
      `${authority}.key`,
      "-out",
      `${authority}.pem`
    )
  const extensions = (names: string) =>
    writeFileSync(at("ext"), `subjectAltName=${names}\nextendedKeyUsage=serverAuth,clientAuth\n`)
  const issue: Certificates["issue"] = (name, { authority = "ca", days = 2, names = "IP:127.0.0.1,DNS:localhost" }) => {
    extensions(names)
    openssl("req", ...key, "-subj", `/CN=${name}`, "-keyout", `${name}.key`, "-out", `${name}.csr`)
    openssl(
      "x509",
      "-req",
      "-in",
      `${name}.csr`,
      "-CA",
      `${authority}.pem`,
      "-CAkey",
      `${authority}.key`,
      "-CAcreateserial",
      "-days",
      String(days),
      "-extfile",
      "ext",
      "-out",
      `${name}.pem`
    )
  }
  for (const name of ["server", "client"]) issue(name, {})
  readable(directory)
  return { at, issue, read: (name) => readFileSync(at(name), "utf8") }
}

/** In a directory of their own, for as long as the scope. `more`: what this server's tests want besides. */
export const scoped = (
  server: string,
  more: (certificates: Certificates, directory: string) => void
): Effect.Effect<Certificates, ServerUnavailable, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "certificates-"))),
    (directory) => Effect.sync(() => rmSync(directory, { recursive: true, force: true }))
  ).pipe(
    Effect.flatMap((directory) =>
      Effect.try({
        try: () => {
          const certificates = make(directory)
          more(certificates, directory)
          readable(directory)
          return certificates
        },
        catch: (cause) =>
          new ServerUnavailable({
            server: `${server} with TLS`,
            reason: `openssl made no certificates: ${String(cause)}`
          })
      })
    )
  )
