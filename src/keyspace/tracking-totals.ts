/** How much all shards track together (tracked-keys.ts). */

const enum Total {
  Keys = 0,
  /** Clients of all keys. */
  Items = 1,
  WORDS = 16,
}

export class TrackingTotals {
  private readonly words: Int32Array;

  constructor(buffer: SharedArrayBuffer) {
    this.words = new Int32Array(buffer);
  }

  static create(): SharedArrayBuffer {
    return new SharedArrayBuffer(Total.WORDS * 4);
  }

  get keys(): number {
    return Atomics.load(this.words, Total.Keys);
  }

  get items(): number {
    return Atomics.load(this.words, Total.Items);
  }

  add(keys: number, items: number): void {
    Atomics.add(this.words, Total.Keys, keys);
    Atomics.add(this.words, Total.Items, items);
  }
}
