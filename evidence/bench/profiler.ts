/** What this process does, and what it keeps, by the profilers of V8. */
import { Session } from "node:inspector/promises"
import { ofTime, ofTree, type Parts } from "./parts.js"

const connected = async <A>(use: (session: Session) => Promise<A>): Promise<A> => {
  const session = new Session()
  session.connect()
  try {
    return await use(session)
  } finally {
    session.disconnect()
  }
}

const now = (): number => Number(process.hrtime.bigint()) / 1000

/** Microseconds from the beginning of this work to its end. */
export const time = (work: () => Promise<unknown>): Promise<Parts> =>
  connected(async (session) => {
    await session.post("Profiler.enable")
    await session.post("Profiler.setSamplingInterval", { interval: 1_000 })
    await session.post("Profiler.start")
    const from = now()
    await work()
    const to = now()
    const { profile } = await session.post("Profiler.stop")
    return ofTime(profile, from, to)
  })

/** Bytes that this work has made and that are still in use at its end. */
export const memory = (work: () => Promise<unknown>): Promise<Parts> =>
  connected(async (session) => {
    await session.post("HeapProfiler.collectGarbage")
    await session.post("HeapProfiler.startSampling", { samplingInterval: 1024 })
    await work()
    await session.post("HeapProfiler.collectGarbage")
    const { profile } = await session.post("HeapProfiler.stopSampling")
    return ofTree(profile.head)
  })
