/**
 * The positions of the keys of one keyed list by their hashes, for whoever looks up many keys one after the other: a lookup in the
 * list itself reads all fingerprints up to the key, and walks to it.
 *
 *   heads      by the lowest bits of the hash: number of the first key, counted from 1; 0 for none
 *   followers  by number: the next key with the same bits
 */

import type { KeyedList } from './keyed-list.js';

const HEADS = 256;
/** A list of more keys is not indexed. */
export const INDEXED_KEYS_MAX = 1024;

export class KeyIndex {
  private readonly heads = new Uint16Array(HEADS);
  private readonly followers = new Uint16Array(INDEXED_KEYS_MAX + 1);
  private readonly hashes = new Int32Array(INDEXED_KEYS_MAX + 1);
  private readonly positions = new Int32Array(INDEXED_KEYS_MAX + 1);
  private list!: KeyedList;

  /** Indexes a list of at most `INDEXED_KEYS_MAX` keys. The index is good for as long as the list does not change. */
  build(list: KeyedList, block: number): void {
    const { heads, followers, hashes, positions } = this;
    this.list = list;
    for (let head = 0; head < HEADS; head++) heads[head] = 0;
    const count = list.keyCount(block);
    let at = count === 0 ? 0 : list.first(block);
    for (let number = 1; number <= count; number++) {
      const hash = list.hashAt(at);
      const head = hash & (HEADS - 1);
      hashes[number] = hash;
      positions[number] = at;
      followers[number] = heads[head];
      heads[head] = number;
      at = list.nextKey(at);
    }
  }

  /** Position of a key, 0 if it is not there. */
  find(bytes: Uint8Array, view: DataView, offset: number, lengthBytes: number): number {
    const { list, hashes, positions, followers } = this;
    const hash = list.hashOf(bytes, view, offset, lengthBytes);
    for (let number = this.heads[hash & (HEADS - 1)]; number !== 0; number = followers[number]) {
      if (hashes[number] !== hash) continue;
      if (list.equals(positions[number], bytes, view, offset, lengthBytes)) return positions[number];
    }
    return 0;
  }
}
