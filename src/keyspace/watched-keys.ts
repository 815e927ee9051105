/**
 * The keys of a shard that clients watch, each with a version that every change of the key increments.
 *
 *   WATCH_TABLE_SLOTS slots of 24 bytes, open addressing with linear probing
 *     word 0   hash of the key        word 1  database + 1, 0 if the slot is free
 *     words 2, 3  version, a float64 (an int32 would wrap around to the same number after 2^32 changes)
 *     word 4   watchers
 *
 * A key is identified by its 32-bit keyed hash alone: with a chance of one in four billion, a change of one key counts
 * as a change of another. WATCH notes slot and version, EXEC compares.
 *
 * The last watcher of a slot frees it. This increments the version, which is never reset, so that a watcher can't
 * mistake a later key in the slot for its own.
 */

import {
  HeaderWord,
  ShardListener,
  type ShardMemory,
  WATCH_SLOT_BYTES,
  WATCH_TABLE_SLOTS,
} from '../memory/shard-memory.js';

const SLOT_WORDS = WATCH_SLOT_BYTES >> 2;
const PROBES_MAX = 64;

export class WatchedKeys {
  private readonly words: Int32Array;
  private readonly doubles: Float64Array;
  private readonly start: number;

  constructor(memory: ShardMemory) {
    this.words = memory.words;
    this.doubles = memory.doubles;
    this.start = memory.words[HeaderWord.WatchTableStart] >> 2;
  }

  /** Starts watching; returns the slot, or -1 if too many keys around this hash are watched already. */
  watch(database: number, hash: number): number {
    const { words } = this;
    let free = -1;
    for (let probe = 0; probe < PROBES_MAX; probe++) {
      const slot = this.probe(hash, probe);
      if (words[slot + 1] === database + 1 && words[slot] === hash) {
        words[slot + 4]++;
        this.count(1);
        return slot;
      }
      if (words[slot + 1] === 0 && free < 0) free = slot;
    }
    if (free < 0) return -1;
    words[free] = hash;
    words[free + 1] = database + 1;
    words[free + 4] = 1;
    this.count(1);
    return free;
  }

  private count(delta: number): void {
    const { words } = this;
    words[HeaderWord.WatchedKeyCount] += delta;
    if (words[HeaderWord.WatchedKeyCount] !== 0) words[HeaderWord.Listeners] |= ShardListener.Watchers;
    else words[HeaderWord.Listeners] &= ~ShardListener.Watchers;
  }

  unwatch(slot: number): void {
    const { words } = this;
    this.count(-1);
    if (--words[slot + 4] > 0) return;
    words[slot + 1] = 0;
    this.changed(slot);
  }

  version(slot: number): number {
    return this.doubles[(slot + 2) >> 1];
  }

  private changed(slot: number): void {
    this.doubles[(slot + 2) >> 1]++;
  }

  /** A key has changed. */
  touch(database: number, hash: number): void {
    const { words } = this;
    for (let probe = 0; probe < PROBES_MAX; probe++) {
      const slot = this.probe(hash, probe);
      if (words[slot] === hash && words[slot + 1] === database + 1) {
        this.changed(slot);
        return;
      }
    }
  }

  /** Touches every watched key of a database for which `isAffected(hash)` holds. */
  touchWhere(database: number, isAffected: (hash: number) => boolean): void {
    const { words } = this;
    if (words[HeaderWord.WatchedKeyCount] === 0) return;
    for (let slot = this.start; slot < this.start + WATCH_TABLE_SLOTS * SLOT_WORDS; slot += SLOT_WORDS) {
      if (words[slot + 1] === database + 1 && isAffected(words[slot])) this.changed(slot);
    }
  }

  private probe(hash: number, probe: number): number {
    return this.start + ((hash + probe) & (WATCH_TABLE_SLOTS - 1)) * SLOT_WORDS;
  }
}
