/** Servers from Maven Central, by the machine's own Maven and its settings. Needs a JDK and `mvn`. */
import * as Effect from "#effect/Effect"
import * as ChildProcess from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Cache from "./cache.js"
import { ServerUnavailable } from "./server.js"

const works = (name: string): boolean => ChildProcess.spawnSync(name, ["-version"], { stdio: "ignore" }).status === 0

/** For servers that live for minutes beside others: neither compiled for a long run, nor verified, which is a fifth of a start. */
export const jvm: ReadonlyArray<string> = [
  "-XX:+UseSerialGC",
  "-XX:TieredStopAtLevel=1",
  "-XX:+UnlockDiagnosticVMOptions",
  "-XX:-BytecodeVerificationRemote"
]

const copyPlugin = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies"

const pom = (artifacts: ReadonlyArray<string>): string => {
  const dependencies = artifacts.map((artifact) => {
    const [group, name, version] = artifact.split(":")
    return `<dependency><groupId>${group}</groupId><artifactId>${name}</artifactId><version>${version}</version></dependency>`
  })
  return `<project><modelVersion>4.0.0</modelVersion><groupId>t</groupId><artifactId>t</artifactId><version>1</version><dependencies>${dependencies.join(
    ""
  )}</dependencies></project>`
}

/** The folder with the jars of these artifacts (`group:name:version`) and of all that they need. */
export const fetch = (server: string, artifacts: ReadonlyArray<string>): Effect.Effect<string, ServerUnavailable> =>
  Effect.suspend(() => {
    const name = `maven-${artifacts[0]!.replace(/[^\w.-]+/g, "-")}`
    for (const needed of ["java", "mvn"]) {
      if (!works(needed)) return new ServerUnavailable({ server, reason: `${needed} is not installed` })
    }
    return Effect.map(
      Cache.folder(server, name, (work) => {
        Fs.writeFileSync(Path.join(work, "pom.xml"), pom(artifacts))
        const args = ["-q", "-B", copyPlugin, "-DincludeScope=runtime", "-DoutputDirectory=lib"]
        return Cache.command(server, "mvn", args, work, {}, 300_000)
      }),
      (folder) => Path.join(folder, "lib")
    )
  })
