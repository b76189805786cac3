/** Timers in the order of their time. Each knows its place, so that one is moved or taken out where it stands: of what is over, nothing stays. */

export class Entry {
  /** In the heap, which keeps it up to date; negative while it is not in there. */
  place = -1

  constructor(
    public due: number,
    private readonly callback: (subject: any) => void,
    private readonly subject: unknown,
    private readonly heap: TimerHeap
  ) {}

  ring(): void {
    this.callback(this.subject)
  }

  /** It will not ring, until it is moved. */
  cancel(): void {
    if (this.place >= 0) this.heap.delete(this)
  }

  /** It rings then, and no more at the time that it had. Also once it has rung, or was cancelled. */
  move(due: number): void {
    this.due = due
    this.heap.put(this)
  }
}

export class TimerHeap {
  private readonly entries: Array<Entry> = []

  /** `set`: told of each time that is set. */
  constructor(private readonly set: (due: number) => void) {}

  get size(): number {
    return this.entries.length
  }

  get first(): Entry | undefined {
    return this.entries[0]
  }

  /** Where its time says, whether it is in there or not. */
  put(entry: Entry): void {
    if (entry.place < 0) {
      entry.place = this.entries.length
      this.entries.push(entry)
    }
    this.settle(entry)
    this.set(entry.due)
  }

  delete(entry: Entry): void {
    const { place } = entry
    const last = this.entries.pop()!
    entry.place = -1
    if (last === entry) return
    this.entries[place] = last
    last.place = place
    this.settle(last)
  }

  private settle(entry: Entry): void {
    const { entries } = this
    const { due } = entry
    let index = entry.place
    while (index > 0) {
      const parent = entries[(index - 1) >> 1]!
      if (parent.due <= due) break
      entries[index] = parent
      parent.place = index
      index = (index - 1) >> 1
    }
    for (;;) {
      let child = 2 * index + 1
      if (child >= entries.length) break
      if (child + 1 < entries.length && entries[child + 1]!.due < entries[child]!.due) child++
      const sooner = entries[child]!
      if (sooner.due >= due) break
      entries[index] = sooner
      sooner.place = index
      index = child
    }
    entries[index] = entry
    entry.place = index
  }
}
