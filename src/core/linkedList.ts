/**
 * First in, first out, and out of the middle: all at once, however long it is. (A `Set` looks past all that was deleted at its front to find its first.)
 *
 * Also in place of a `Set` where much comes and goes: its table is replaced again and again, and an old one that the garbage collector has put aside keeps the next one alive with all that was in it then,
 * and that one the next. So everything in it, and whatever that leads to, would become old before it is collected, at the greater price.
 */
export interface Links {
  before: this | undefined
  after: this | undefined
}

export class LinkedList<A extends Links> {
  first: A | undefined
  private last: A | undefined
  size = 0

  has(item: A): boolean {
    return item.before !== undefined || this.first === item
  }

  /** What is there now. */
  [Symbol.iterator](): Iterator<A> {
    return this.toArray()[Symbol.iterator]()
  }

  toArray(): ReadonlyArray<A> {
    const all: Array<A> = []
    for (let item = this.first; item !== undefined; item = item.after) all.push(item)
    return all
  }

  add(item: A): void {
    if (this.has(item)) return
    item.before = this.last
    if (this.last === undefined) this.first = item
    else this.last.after = item
    this.last = item
    this.size++
  }

  delete(item: A): void {
    if (!this.has(item)) return
    if (item.before === undefined) this.first = item.after
    else item.before.after = item.after
    if (item.after === undefined) this.last = item.before
    else item.after.before = item.before
    item.before = item.after = undefined
    this.size--
  }
}
