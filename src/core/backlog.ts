/** What waits for somebody who may not keep up: the oldest goes where there are too many, and is counted. */
export class Backlog<A> {
  private all: Array<A> = []
  private first = 0
  private gone = 0

  constructor(private readonly capacity: number) {}

  get size(): number {
    return this.all.length - this.first
  }

  add(one: A): void {
    this.all.push(one)
    if (this.size <= this.capacity) return
    this.gone++
    this.pass(1)
  }

  /** The oldest, up to so many. */
  take(most: number): ReadonlyArray<A> {
    const taken = this.all.slice(this.first, this.first + most)
    this.pass(taken.length)
    return taken
  }

  /** How many went since this was last asked. */
  takeGone(): number {
    const { gone } = this
    this.gone = 0
    return gone
  }

  private pass(count: number): void {
    this.first += count
    // Cut off all at once, now and then: to shift an array moves all of it.
    if (this.first < this.capacity && this.first < this.all.length) return
    this.all = this.all.slice(this.first)
    this.first = 0
  }
}
