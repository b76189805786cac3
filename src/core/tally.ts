/** Who is counted, and how often: nearly always one, which then needs no `Map`. */
export class Tally {
  private first = ""
  private times = 0
  private others: Map<string, number> | undefined

  /** How many are counted. */
  get size(): number {
    return (this.times > 0 ? 1 : 0) + (this.others?.size ?? 0)
  }

  /** How often. */
  of(name: string): number {
    return this.times > 0 && this.first === name ? this.times : (this.others?.get(name) ?? 0)
  }

  add(name: string): void {
    const times = this.of(name)
    if (this.times === 0 && times === 0) this.first = name
    this.set(name, times + 1)
  }

  /** Once less, if it is counted. */
  remove(name: string): void {
    const times = this.of(name)
    if (times > 0) this.set(name, times - 1)
  }

  private set(name: string, times: number): void {
    if (this.first === name) this.times = times
    else if (times === 0) this.others?.delete(name)
    else (this.others ??= new Map()).set(name, times)
  }
}
