/** The encoding of ZooKeeper's messages: big-endian numbers, and lengths in front of what is long. */

/** Puts values one after the other. */
export class Writer {
  private bytes = Buffer.allocUnsafe(256)
  private at = 0

  private room(size: number): number {
    const at = this.at
    this.at += size
    if (this.at > this.bytes.length) {
      const larger = Buffer.allocUnsafe(Math.max(this.at, 2 * this.bytes.length))
      this.bytes.copy(larger, 0, 0, at)
      this.bytes = larger
    }
    return at
  }

  int(value: number): this {
    const at = this.room(4)
    this.bytes.writeInt32BE(value, at)
    return this
  }

  long(value: bigint): this {
    const at = this.room(8)
    this.bytes.writeBigInt64BE(value, at)
    return this
  }

  flag(value: boolean): this {
    const at = this.room(1)
    this.bytes[at] = value ? 1 : 0
    return this
  }

  buffer(value: Uint8Array): this {
    this.int(value.length)
    const at = this.room(value.length)
    this.bytes.set(value, at)
    return this
  }

  text(value: string): this {
    return this.buffer(Buffer.from(value, "utf8"))
  }

  /** All of it, with its length in front. */
  frame(): Buffer {
    const whole = Buffer.allocUnsafe(4 + this.at)
    whole.writeInt32BE(this.at, 0)
    this.bytes.copy(whole, 4, 0, this.at)
    return whole
  }
}

/** Takes values one after the other. Throws a `RangeError` where there is no such one. */
export class Reader {
  private at = 0

  constructor(private readonly bytes: Buffer) {}

  private take(size: number): number {
    const at = this.at
    if (size < 0 || at + size > this.bytes.length) throw new RangeError("a message ends before its fields do")
    this.at += size
    return at
  }

  int(): number {
    return this.bytes.readInt32BE(this.take(4))
  }

  long(): bigint {
    return this.bytes.readBigInt64BE(this.take(8))
  }

  /** Of a count that stays below 2^53. */
  count(): number {
    return Number(this.long())
  }

  flag(): boolean {
    return this.bytes[this.take(1)] !== 0
  }

  /** One that is null has the length -1. */
  buffer(): Buffer {
    const length = this.int()
    if (length === -1) return Buffer.alloc(0)
    const at = this.take(length)
    return this.bytes.subarray(at, at + length)
  }

  text(): string {
    return this.buffer().toString("utf8")
  }

  list<A>(one: () => A): ReadonlyArray<A> {
    const length = this.int()
    // Each has a byte at least, so a length that is nonsense costs no memory.
    if (length > this.bytes.length) throw new RangeError("a list is longer than its message")
    const all: Array<A> = []
    for (let i = 0; i < length; i++) all.push(one())
    return all
  }

  isAtEnd(): boolean {
    return this.at >= this.bytes.length
  }
}

/** Cuts what comes into frames. `on` may throw. */
export const frames = (longest: number, on: (frame: Buffer) => void): ((chunk: Buffer) => void) => {
  let parts: Array<Buffer> = []
  let size = 0
  return (chunk) => {
    parts.push(chunk)
    size += chunk.length
    for (;;) {
      if (size < 4) return
      if (parts[0]!.length < 4) parts = [Buffer.concat(parts)]
      const length = parts[0]!.readInt32BE(0)
      if (length < 0 || length > longest) throw new RangeError("a frame of a length that none has")
      if (size < 4 + length) return
      const whole = parts.length === 1 ? parts[0]! : Buffer.concat(parts)
      const rest = whole.subarray(4 + length)
      parts = rest.length === 0 ? [] : [rest]
      size = rest.length
      on(whole.subarray(4, 4 + length))
    }
  }
}
