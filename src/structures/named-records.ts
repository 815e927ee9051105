/**
 * Records in the order of their names: the groups of a stream, the consumers of a group. There are few of them, so
 * binary search in a vector of their offsets is enough.
 *
 *   vector (in the caller's memory):  | block | count | capacity |       block: | record | record | ... | room |
 *
 *   record:  | length of the name | ... | name |
 *            |<------ headerBytes ----->|
 */

import type { Arena } from '../memory/arena.js';
import type { ShardMemory } from '../memory/shard-memory.js';
import { copyBytes } from './copy.js';

/** Words of a vector. All zero: no records. */
export const enum Vector {
  Block = 0,
  Count = 1,
  Capacity = 2,
  WORDS = 3,
}

const CAPACITY_MIN = 4;

export class NamedRecords {
  private readonly arena: Arena;
  private readonly words: Int32Array;
  private readonly bytes: Uint8Array;
  private readonly view: DataView;
  readonly headerBytes: number;

  constructor(memory: ShardMemory, arena: Arena, headerBytes: number) {
    this.arena = arena;
    this.words = memory.words;
    this.bytes = memory.bytes;
    this.view = memory.view;
    this.headerBytes = headerBytes;
  }

  count(vector: number): number {
    return this.words[vector + Vector.Count];
  }

  recordAt(vector: number, index: number): number {
    return this.words[(this.words[vector] >> 2) + index];
  }

  nameOffset(record: number): number {
    return record + this.headerBytes;
  }

  nameLength(record: number): number {
    return this.words[record >> 2];
  }

  recordBytes(record: number): number {
    return this.headerBytes + this.nameLength(record);
  }

  /** Compares a record's name with another name. */
  private compareName(record: number, bytes: Uint8Array, offset: number, lengthBytes: number): number {
    const ownLength = this.nameLength(record);
    const common = Math.min(ownLength, lengthBytes);
    const own = record + this.headerBytes;
    for (let at = 0; at < common; at++) {
      const difference = this.bytes[own + at] - bytes[offset + at];
      if (difference !== 0) return difference;
    }
    return ownLength - lengthBytes;
  }

  /** Index of the first record whose name is not below the given one. */
  private lowerBound(vector: number, bytes: Uint8Array, offset: number, lengthBytes: number): number {
    let low = 0;
    let high = this.words[vector + Vector.Count];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.compareName(this.recordAt(vector, middle), bytes, offset, lengthBytes) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** The record with a name, 0 if there is none. */
  find(vector: number, bytes: Uint8Array, offset: number, lengthBytes: number): number {
    const index = this.lowerBound(vector, bytes, offset, lengthBytes);
    if (index === this.words[vector + Vector.Count]) return 0;
    const record = this.recordAt(vector, index);
    return this.compareName(record, bytes, offset, lengthBytes) === 0 ? record : 0;
  }

  /**
   * Adds a record with a name that no other one has; the rest of its header is 0. Returns it, or 0 with nothing
   * changed if there is no memory.
   */
  create(vector: number, bytes: Uint8Array, view: DataView, offset: number, lengthBytes: number): number {
    const { words } = this;
    const record = this.arena.allocate(this.headerBytes + lengthBytes);
    if (record === 0) return 0;
    words.fill(0, record >> 2, (record + this.headerBytes) >> 2);
    words[record >> 2] = lengthBytes;
    copyBytes(this.bytes, this.view, record + this.headerBytes, bytes, view, offset, lengthBytes);
    if (words[vector + Vector.Count] === words[vector + Vector.Capacity] && !this.grow(vector)) {
      this.arena.free(record, this.headerBytes + lengthBytes);
      return 0;
    }
    const index = this.lowerBound(vector, bytes, offset, lengthBytes);
    const start = words[vector] >> 2;
    const count = words[vector + Vector.Count];
    words.copyWithin(start + index + 1, start + index, start + count);
    words[start + index] = record;
    words[vector + Vector.Count] = count + 1;
    return record;
  }

  private grow(vector: number): boolean {
    const { words, arena } = this;
    const capacity = words[vector + Vector.Capacity];
    const wanted = Math.max(CAPACITY_MIN, 2 * capacity);
    const block = arena.allocate(wanted * 4);
    if (block === 0) return false;
    const old = words[vector];
    words.copyWithin(block >> 2, old >> 2, (old >> 2) + words[vector + Vector.Count]);
    if (capacity > 0) arena.free(old, capacity * 4);
    words[vector] = block;
    words[vector + Vector.Capacity] = wanted;
    return true;
  }

  /** Removes a record from the vector; the caller must free it. */
  remove(vector: number, record: number): void {
    const { words } = this;
    const index = this.lowerBound(vector, this.bytes, this.nameOffset(record), this.nameLength(record));
    const start = words[vector] >> 2;
    const count = words[vector + Vector.Count];
    if (words[start + index] !== record) throw new Error('named records: a record is not where it should be');
    words.copyWithin(start + index, start + index + 1, start + count);
    words[vector + Vector.Count] = count - 1;
    if (count === 1) this.release(vector);
  }

  /** Removes the last record from the vector and returns it for the caller to free; 0 if there is none. */
  removeLast(vector: number): number {
    const { words } = this;
    const count = words[vector + Vector.Count];
    if (count === 0) return 0;
    const record = this.recordAt(vector, count - 1);
    words[vector + Vector.Count] = count - 1;
    if (count === 1) this.release(vector);
    return record;
  }

  /** Frees the block of a vector without records. */
  private release(vector: number): void {
    const { words } = this;
    this.arena.free(words[vector], words[vector + Vector.Capacity] * 4);
    words[vector] = 0;
    words[vector + Vector.Capacity] = 0;
  }

  free(record: number): void {
    this.arena.free(record, this.recordBytes(record));
  }

  /** Throws if an invariant is broken. For tests. */
  verify(vector: number): void {
    const { words } = this;
    const count = words[vector + Vector.Count];
    if (count > words[vector + Vector.Capacity])
      throw new Error('named records: more than there is room for');
    if (count === 0 && words[vector] !== 0) throw new Error('named records: a block without records');
    for (let index = 1; index < count; index++) {
      const record = this.recordAt(vector, index);
      const before = this.recordAt(vector, index - 1);
      if (this.compareName(before, this.bytes, this.nameOffset(record), this.nameLength(record)) >= 0) {
        throw new Error('named records: out of order');
      }
    }
  }
}
