/** How long looks take. */

/** Upper bounds in seconds. */
export const bounds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5]

const most = 120

export class Latencies {
  /** In milliseconds, the oldest first. */
  readonly last: Array<number> = []
  /** How many took as long as each bound, or less. */
  readonly within: Array<number> = bounds.map(() => 0)
  count = 0
  sum = 0

  add(millis: number): void {
    this.last.push(millis)
    if (this.last.length > most) this.last.shift()
    this.count++
    this.sum += millis
    bounds.forEach((bound, index) => {
      if (millis <= bound * 1_000) this.within[index]!++
    })
  }

  get median(): number {
    return [...this.last].sort((a, b) => a - b)[Math.floor(this.last.length / 2)] ?? 0
  }
  get worst(): number {
    return Math.max(0, ...this.last)
  }
}
