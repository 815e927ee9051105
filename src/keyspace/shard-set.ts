/** A set of shards, by index: which ones a command or a transaction locks. */

export class ShardSet {
  /** Bit `index & 31` of word `index >> 5`. */
  private readonly words: Int32Array;
  private readonly shardCount: number;

  constructor(shardCount: number) {
    this.shardCount = shardCount;
    this.words = new Int32Array((shardCount + 31) >> 5);
  }

  add(index: number): void {
    this.words[index >> 5] |= 1 << (index & 31);
  }

  has(index: number): boolean {
    return (this.words[index >> 5] & (1 << (index & 31))) !== 0;
  }

  addAll(): void {
    for (let index = 0; index < this.shardCount; index++) this.add(index);
  }

  clear(): void {
    const { words } = this;
    for (let word = 0; word < words.length; word++) words[word] = 0;
  }

  get isFull(): boolean {
    for (let index = 0; index < this.shardCount; index++) if (!this.has(index)) return false;
    return true;
  }

  /** The lowest index in the set from this one on; -1 if there is none. */
  next(index: number): number {
    const { words } = this;
    let word = index >> 5;
    if (word >= words.length) return -1;
    let bits = words[word] & (-1 << (index & 31));
    while (bits === 0) {
      if (++word === words.length) return -1;
      bits = words[word];
    }
    return 32 * word + 31 - Math.clz32(bits & -bits);
  }
}
