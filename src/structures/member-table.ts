/**
 * A member dictionary with a root block of its own, which can be freed in steps: a large set or hash.
 *
 *   root:  | dictionary root (DictionaryRoot.WORDS words) | cursor of the release (word) |
 *
 * A record is a block of `recordBytes` bytes.
 */

import { DictionaryRoot } from './dictionary.js';
import { MemberDictionary } from './member-dictionary.js';

const ROOT_CURSOR = DictionaryRoot.WORDS;
const ROOT_WORDS = DictionaryRoot.WORDS + 1;
export const ROOT_BYTES = ROOT_WORDS * 4;

export class MemberTable extends MemberDictionary {
  /** Bytes of a record; here it ends with the member. */
  recordBytes(record: number): number {
    return this.headerBytes + this.memberLength(record);
  }

  /** The root block of a new, empty table; 0 if there is no memory. */
  create(): number {
    const block = this.arena.allocate(ROOT_BYTES);
    if (block !== 0) this.words.fill(0, block >> 2, (block >> 2) + ROOT_WORDS);
    return block;
  }

  /** Frees everything. */
  release(block: number): void {
    while (!this.releaseSome(block, Number.MAX_SAFE_INTEGER)) {}
  }

  /** Frees about `steps` records; true when the table is gone. Nothing else may be done with it in between. */
  releaseSome(block: number, steps: number): boolean {
    if (!this.releaseRecords(block, steps)) return false;
    this.arena.free(block, ROOT_BYTES);
    return true;
  }

  /** Frees about `steps` records; true when nothing is left but the root block. */
  protected releaseRecords(block: number, steps: number): boolean {
    const { words } = this;
    const root = block >> 2;
    let cursor = words[root + ROOT_CURSOR];
    while (cursor >= 0 && steps > 0) {
      cursor = this.drain(root, cursor);
      for (let index = 0; index < this.scannedCount; index++) {
        const record = this.scanned[index];
        this.arena.free(record, this.recordBytes(record));
      }
      steps -= this.scannedCount;
    }
    words[root + ROOT_CURSOR] = cursor;
    return cursor < 0;
  }

  /** Takes the record in a slot out of the table and frees it. */
  eraseRecord(block: number, hash: number, slot: number): void {
    const record = this.words[slot];
    this.erase(block >> 2, hash, slot);
    this.arena.free(record, this.recordBytes(record));
  }
}
