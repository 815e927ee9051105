/**
 * A member dictionary with a root block of its own, which can be freed in steps: a large set or hash.
 *
 *   root:  | dictionary root (DictionaryRoot.WORDS words) | cursor of the release (word) | walk (word) |
 *
 * A record is a block of `recordBytes` bytes.
 */

import { DictionaryRoot, WALK_END } from './dictionary.js';
import { type ElementKeeper, Walk } from './element-walk.js';
import { MemberDictionary } from './member-dictionary.js';

const ROOT_CURSOR = DictionaryRoot.WORDS;
const ROOT_WALK = ROOT_CURSOR + 1;
const ROOT_WORDS = ROOT_WALK + 1;
export const ROOT_BYTES = ROOT_WORDS * 4;

export class MemberTable extends MemberDictionary {
  keeper: ElementKeeper | null = null;

  /** The walk over a table that is under way, 0 for none. */
  walkOf(block: number): number {
    return this.words[(block >> 2) + ROOT_WALK];
  }

  setWalk(block: number, walk: number): void {
    this.words[(block >> 2) + ROOT_WALK] = walk;
  }

  /** Must be called before a record changes or is removed. */
  protected keep(block: number, record: number): void {
    if (this.words[(block >> 2) + ROOT_WALK] !== 0) this.keepForWalk(block, record);
  }

  private keepForWalk(block: number, record: number): void {
    const walk = this.walkOf(block);
    if (this.isLeftOut(record)) return;
    if (this.positionOf(block >> 2, this.recordHash(record)) < this.words[walk + Walk.Position]) return;
    this.keeper?.keepRecord(walk, record);
    this.setLeftOut(record, true);
  }

  /** Adds a record that is not there yet, as `insert` does. */
  insertRecord(block: number, hash: number, record: number): boolean {
    if (!this.insert(block >> 2, hash, record)) return false;
    const walk = this.words[(block >> 2) + ROOT_WALK];
    if (walk !== 0 && this.positionOf(block >> 2, hash) >= this.words[walk + Walk.Position]) {
      this.setLeftOut(record, true);
    }
    return true;
  }

  /** A step of the walk that is under way: puts records into `scanned`; false if there are no more. */
  stepWalk(block: number): boolean {
    const { words, scanned } = this;
    const at = this.walkOf(block) + Walk.Position;
    if (words[at] === WALK_END) {
      this.scannedCount = 0;
      return false;
    }
    words[at] = this.walk(block >> 2, words[at]);
    const count = this.scannedCount;
    this.scannedCount = 0;
    for (let index = 0; index < count; index++) {
      const record = scanned[index];
      if (this.isLeftOut(record)) this.setLeftOut(record, false);
      else scanned[this.scannedCount++] = record;
    }
    return true;
  }

  /** Bytes of a record. Here a record ends with its member. */
  recordBytes(record: number): number {
    return this.headerBytes + this.memberLength(record);
  }

  /** The root block of a new, empty table for so many members; 0 if there is no memory. */
  create(count: number): number {
    const block = this.arena.allocate(ROOT_BYTES);
    if (block === 0) return 0;
    this.words.fill(0, block >> 2, (block >> 2) + ROOT_WORDS);
    this.reserve(block >> 2, count);
    return block;
  }

  /** Frees everything. */
  release(block: number): void {
    while (!this.releaseSome(block, Number.MAX_SAFE_INTEGER)) {}
  }

  /** Frees about `steps` records; true when the table is gone. Between calls it must not be used otherwise. */
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

  /** Removes the record in a slot from the table and frees it. */
  eraseRecord(block: number, hash: number, slot: number): void {
    const record = this.words[slot];
    this.keep(block, record);
    this.erase(block >> 2, hash, slot);
    this.arena.free(record, this.recordBytes(record));
  }
}
