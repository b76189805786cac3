/** The lines of a layer, one for each lock. */
import { Line } from "./line.js"

/** How many lines are remembered that nobody needs. */
const mostIdle = 1000

/** The lines of a layer. One that nobody needs any more is forgotten, soon if it has met other processes. */
export class Lines {
  private readonly lines = new Map<string, Line>()
  /** Those that were kept when nobody needed them, the longest first. */
  private readonly idle = new Set<string>()

  get size(): number {
    return this.lines.size
  }

  of(key: string): Line {
    let line = this.lines.get(key)
    if (line === undefined) this.lines.set(key, (line = new Line()))
    return line
  }

  tidy(key: string, now: number): void {
    const line = this.lines.get(key)
    this.idle.delete(key)
    if (line?.isEmpty === true) {
      if (line.remembers(now)) this.idle.add(key)
      else this.lines.delete(key)
    }
    for (const oldest of this.idle) {
      const kept = this.lines.get(oldest)
      if (kept?.isEmpty === true && kept.remembers(now) && this.idle.size <= mostIdle) break
      this.idle.delete(oldest)
      if (kept?.isEmpty === true) this.lines.delete(oldest)
    }
  }

  hint(key: string, now: number): void {
    this.lines.get(key)?.freed(now)
    if (key === "all") {
      for (const line of this.lines.values()) line.hint()
    }
  }

  isHolder(key: string, ownerId: string): boolean {
    return this.lines.get(key)?.isHolder(ownerId) === true
  }

  ringAll(): void {
    for (const line of this.lines.values()) line.ringAll()
  }
}
