/** Random numbers that are the same again for the same seed, on every machine: integers only until the last step. */
export class Rng {
  private state: number

  constructor(seed: number | string) {
    let hash = 0x811c9dc5
    for (const char of String(seed)) hash = Math.imul(hash ^ char.charCodeAt(0), 0x01000193)
    this.state = hash >>> 0
  }

  /** From 0 to below 1. */
  next(): number {
    // mulberry32
    this.state = (this.state + 0x6d2b79f5) >>> 0
    let t = this.state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }

  chance(probability: number): boolean {
    return this.next() < probability
  }

  between(low: number, high: number): number {
    return low + this.next() * (high - low)
  }

  /** Both ends included. */
  int(low: number, high: number): number {
    return low + Math.floor(this.next() * (high - low + 1))
  }

  pick<A>(items: ReadonlyArray<A>): A {
    return items[Math.floor(this.next() * items.length)]!
  }

  fork(name: string): Rng {
    return new Rng(`${this.state} ${name}`)
  }
}
