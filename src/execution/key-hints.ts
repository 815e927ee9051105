/**
 * Prefetching in plain TypeScript. Once several keys are hashed, all the lines of tables that these lead to are read,
 * then all entries, then what the values of collections refer to. The loads of a loop do not depend on each other, so
 * the processor overlaps their cache misses; the commands then find their lines in the cache.
 *
 * That is done without locks: what is read may be in the middle of a change and is only ever a hint.
 */

import type { Shard } from '../keyspace/shard.js';

const LINE_BYTES = 64;
/** A value with a larger first word is hardly a packed list: the word is probably not its length. */
const PACKED_BYTES_MAX = 4096;
/** A shorter list has no fingerprints (structures/keyed-list.ts); of a longer one, those of 32 keys are prefetched. */
const INDEXED_BYTES_MIN = 200;
const INDEX_WORDS = 8;

export class KeyHints {
  count = 0;
  readonly hashes: Int32Array;
  readonly shards: Shard[];
  private readonly offsets: Int32Array;
  private readonly lines: Int32Array;
  private readonly records: Int32Array;
  private nextIndex = 0;
  /** Collects what is read, so that the reads are not optimised away. */
  private sink = 0;

  /** @param anyShard fills the places of shards */
  constructor(keysMax: number, anyShard: Shard) {
    this.hashes = new Int32Array(keysMax);
    this.shards = new Array(keysMax).fill(anyShard);
    this.offsets = new Int32Array(keysMax);
    this.lines = new Int32Array(keysMax);
    this.records = new Int32Array(keysMax);
  }

  clear(): void {
    this.count = 0;
    this.nextIndex = 0;
  }

  /** Adds a key, which is at an offset of its request's bytes, unless there are very many. */
  add(offset: number, hash: number, shard: Shard): void {
    const { count } = this;
    if (count === this.hashes.length) return;
    this.offsets[count] = offset;
    this.hashes[count] = hash;
    this.shards[count] = shard;
    this.count = count + 1;
  }

  /** The index of the key at an offset if it is the one after that of the last call, or the first after the last; else -1. */
  take(offset: number): number {
    const index = this.nextIndex;
    if (index >= this.count || this.offsets[index] !== offset) return -1;
    this.nextIndex = index + 1 < this.count ? index + 1 : 0;
    return index;
  }

  /** Reads what commands on these keys will need. */
  run(database: number): void {
    const { count, shards, hashes, lines, records } = this;
    // With one key the loads depend on each other, so prefetching gains nothing.
    if (count <= 1) return;
    let { sink } = this;
    for (let index = 0; index < count; index++) {
      const shard = shards[index];
      const line = shard.dictionary.hintedLine(shard.root(database), hashes[index]);
      lines[index] = line;
      sink ^= shard.words[line];
    }
    for (let index = 0; index < count; index++) {
      records[index] =
        lines[index] === 0 ? 0 : shards[index].dictionary.hintedRecord(lines[index], hashes[index]);
    }
    let hasCollections = false;
    for (let index = 0; index < count; index++) {
      const value = shards[index].hintedValue(records[index]);
      records[index] = value;
      if (value !== 0) hasCollections = true;
    }
    if (hasCollections) {
      for (let index = 0; index < count; index++) {
        lines[index] = records[index];
        records[index] = shards[index].words[records[index]];
      }
      // Of each value that looks like a packed list, reads the end, where it grows, and the fingerprints before it.
      for (let index = 0; index < count; index++) {
        const totalBytes = records[index];
        if (totalBytes <= LINE_BYTES || totalBytes > PACKED_BYTES_MAX) continue;
        const { words } = shards[index];
        const list = lines[index];
        sink ^= words[list + (totalBytes >> 2)];
        if (totalBytes > INDEXED_BYTES_MIN && list > INDEX_WORDS) sink ^= words[list - INDEX_WORDS];
      }
    }
    this.sink = sink;
  }
}
