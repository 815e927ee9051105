/**
 * The positions of the keys of one keyed list by their fingerprints, for whoever looks up many keys one after the other: a
 * lookup in the list itself reads all fingerprints up to the key, and walks to it.
 *
 *   heads      by the fingerprint: number of the last key that has it, counted from 1; 0 for none
 *   followers  by number: the key before with the same fingerprint
 */

import { FINGERPRINTS, type KeyedList, NO_FINGERPRINT } from './keyed-list.js';

/** A list of more keys is not indexed: too many would have the same fingerprint. */
export const INDEXED_KEYS_MAX = 1024;

export class KeyIndex {
  private readonly heads = new Uint16Array(FINGERPRINTS);
  private readonly followers = new Uint16Array(INDEXED_KEYS_MAX + 1);
  private readonly positions = new Int32Array(INDEXED_KEYS_MAX + 1);
  private list!: KeyedList;
  private block = 0;
  private count = 0;
  private hasPositions = false;

  /**
   * Indexes a list of at most `INDEXED_KEYS_MAX` keys that has fingerprints. The index is good for as long as the list does
   * not change.
   */
  build(list: KeyedList, block: number): void {
    const { heads, followers } = this;
    this.list = list;
    this.block = block;
    this.count = list.fingerprintCount(block);
    this.hasPositions = false;
    heads.fill(0);
    for (let number = 1; number <= this.count; number++) {
      const fingerprint = list.fingerprint(block, number - 1);
      followers[number] = heads[fingerprint];
      heads[fingerprint] = number;
    }
  }

  /** Whether a key with this fingerprint may be there. */
  mayHave(fingerprint: number): boolean {
    return this.heads[fingerprint] !== 0;
  }

  /** Position of a key, 0 if it is not there. `fingerprint`: the key's, `NO_FINGERPRINT` if it is not known. */
  find(fingerprint: number, bytes: Uint8Array, view: DataView, offset: number, lengthBytes: number): number {
    const { list, positions, followers } = this;
    const known =
      fingerprint === NO_FINGERPRINT ? list.fingerprintOf(bytes, view, offset, lengthBytes) : fingerprint;
    for (let number = this.heads[known]; number !== 0; number = followers[number]) {
      if (!this.hasPositions) this.locate();
      if (list.equals(positions[number], bytes, view, offset, lengthBytes)) return positions[number];
    }
    return 0;
  }

  /** Notes where the keys are: only few lookups find nothing that might be their key. */
  private locate(): void {
    const { list, positions, count } = this;
    let at = list.first(this.block);
    for (let number = 1; number <= count; number++) {
      positions[number] = at;
      at = list.nextKey(at);
    }
    this.hasPositions = true;
  }
}
