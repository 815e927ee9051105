/**
 * Which keys of a shard somebody watches, with a version that every change of the key moves on.
 *
 *   WATCH_TABLE_SLOTS slots of 16 bytes, open addressing with linear probing
 *     word 0  hash of the key     word 1  database + 1, 0 if the slot is free
 *     word 2  version             word 3  watchers
 *
 * A key is known by its 32-bit keyed hash: two watched keys of a shard take each other for changed
 * once in four billion. WATCH notes slot and version, EXEC compares.
 *
 * A freed slot keeps its version moving on, so that a watcher can't mistake a later key for its own;
 * slots are freed only by their last watcher.
 */

import { HeaderWord, ShardListener, type ShardMemory, WATCH_TABLE_SLOTS } from '../memory/shard-memory.js';

const SLOT_WORDS = 4;
const PROBES_MAX = 64;

export class WatchedKeys {
  private readonly words: Int32Array;
  private readonly start: number;

  constructor(memory: ShardMemory) {
    this.words = memory.words;
    this.start = memory.words[HeaderWord.WatchTableStart] >> 2;
  }

  /** Starts watching; returns the slot, or -1 if too many keys around this hash are watched already. */
  watch(database: number, hash: number): number {
    const { words } = this;
    let free = -1;
    for (let probe = 0; probe < PROBES_MAX; probe++) {
      const slot = this.probe(hash, probe);
      if (words[slot + 1] === database + 1 && words[slot] === hash) {
        words[slot + 3]++;
        this.count(1);
        return slot;
      }
      if (words[slot + 1] === 0 && free < 0) free = slot;
    }
    if (free < 0) return -1;
    words[free] = hash;
    words[free + 1] = database + 1;
    words[free + 3] = 1;
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
    if (--words[slot + 3] > 0) return;
    words[slot + 1] = 0;
    words[slot + 2]++;
  }

  version(slot: number): number {
    return this.words[slot + 2];
  }

  /** A key has changed. */
  touch(database: number, hash: number): void {
    const { words } = this;
    for (let probe = 0; probe < PROBES_MAX; probe++) {
      const slot = this.probe(hash, probe);
      if (words[slot] === hash && words[slot + 1] === database + 1) {
        words[slot + 2]++;
        return;
      }
    }
  }

  /** Touches every watched key of a database for which `isAffected(hash)` holds. */
  touchWhere(database: number, isAffected: (hash: number) => boolean): void {
    const { words } = this;
    if (words[HeaderWord.WatchedKeyCount] === 0) return;
    for (let slot = this.start; slot < this.start + WATCH_TABLE_SLOTS * SLOT_WORDS; slot += SLOT_WORDS) {
      if (words[slot + 1] === database + 1 && isAffected(words[slot])) words[slot + 2]++;
    }
  }

  private probe(hash: number, probe: number): number {
    return this.start + ((hash + probe) & (WATCH_TABLE_SLOTS - 1)) * SLOT_WORDS;
  }
}
