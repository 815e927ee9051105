/**
 * The dictionary of a large hash some of whose fields expire: like hash-table.ts, except that a record ends with its
 * index in the heap of expiries if it expires, which the top bit of its first word tells.
 *
 *   block:   | head (expiring-head.ts) | dictionary root (4 words) | cursor | walk | heap root (3 words) |
 *                                      ^ what the methods take as `table`
 *   record:  | expires (1 bit), value length (31 bits) | left out, field length | field | value | heap index (4) |
 *                                                                                    only if it expires ^
 *
 * When the first field of a large hash gets an expiry, only the root is replaced. The times are only in the heap.
 */

import type { Arena } from '../memory/arena.js';
import { blockBytes } from '../memory/arena.js';
import type { ShardMemory } from '../memory/shard-memory.js';
import { copyBytes } from './copy.js';
import { TablePosition } from './dictionary.js';
import { clearHead, ExpiringHead } from './expiring-head.js';
import { ExpiryHeap, HeapRoot } from './expiry-heap.js';
import { HashTable } from './hash-table.js';
import { ROOT_BYTES } from './member-table.js';

const HEAD_BYTES = ExpiringHead.WORDS * 4;
const HEAP_WORD = ROOT_BYTES >> 2;
const BLOCK_BYTES = HEAD_BYTES + ROOT_BYTES + HeapRoot.WORDS * 4;
const INDEX_BYTES = 4;
const LENGTH_MASK = 0x7fffffff;
const EXPIRES_BIT = ~LENGTH_MASK;

export class ExpiringHashTable extends HashTable {
  private readonly heap: ExpiryHeap;

  constructor(memory: ShardMemory, arena: Arena) {
    super(memory, arena);
    this.heap = new ExpiryHeap(memory, arena, this);
  }

  /** The `table` of a block, as the methods take it. */
  static tableOf(block: number): number {
    return block + HEAD_BYTES;
  }

  /** Most bytes to allocate for the block, and for expiries of `added` fields besides the `count` that have one. */
  static expiryBytes(count: number, added: number): number {
    return blockBytes(BLOCK_BYTES) + ExpiryHeap.growthBytes(count, added);
  }

  override create(count: number): number {
    const block = this.arena.allocate(BLOCK_BYTES);
    if (block === 0) return 0;
    const at = block >> 2;
    clearHead(this.words, at);
    this.words.fill(0, at + ExpiringHead.WORDS, at + (BLOCK_BYTES >> 2));
    this.reserve(at + ExpiringHead.WORDS, count);
    return block;
  }

  /** A new block that takes over a plain table, whose own block is freed; 0, with nothing changed, without memory. */
  takeOver(plain: number): number {
    const block = this.create(0);
    if (block === 0) return 0;
    this.words.copyWithin((block + HEAD_BYTES) >> 2, plain >> 2, (plain + ROOT_BYTES) >> 2);
    this.arena.free(plain, ROOT_BYTES);
    return block;
  }

  override releaseSome(table: number, steps: number): boolean {
    this.heap.release((table >> 2) + HEAP_WORD);
    if (!this.releaseRecords(table, steps)) return false;
    this.arena.free(table - HEAD_BYTES, BLOCK_BYTES);
    return true;
  }

  override valueLength(record: number): number {
    return this.words[record >> 2] & LENGTH_MASK;
  }

  expires(record: number): boolean {
    return this.words[record >> 2] < 0;
  }

  override recordBytes(record: number): number {
    return super.recordBytes(record) + (this.expires(record) ? INDEX_BYTES : 0);
  }

  private indexOffset(record: number): number {
    return this.valueOffset(record) + this.valueLength(record);
  }

  private heapIndex(record: number): number {
    return this.memory.view.getInt32(this.indexOffset(record), true);
  }

  setHeapIndex(record: number, index: number): void {
    this.memory.view.setInt32(this.indexOffset(record), index, true);
  }

  /** When a field expires, -1 for never. */
  expiresAt(table: number, record: number): number {
    return this.expires(record) ? this.heap.timeAt((table >> 2) + HEAP_WORD, this.heapIndex(record)) : -1;
  }

  /** How many fields expire. */
  expiringCount(table: number): number {
    return this.heap.count((table >> 2) + HEAP_WORD);
  }

  /** When the next field expires, -1 if none does. */
  nextExpiry(table: number): number {
    return this.heap.firstTime((table >> 2) + HEAP_WORD);
  }

  /** The record of the field that expires next. */
  nextRecord(table: number): number {
    return this.heap.firstRecord((table >> 2) + HEAP_WORD);
  }

  countDue(table: number, nowMs: number): number {
    return this.heap.countDue((table >> 2) + HEAP_WORD, nowMs);
  }

  /** Whether all fields are past their expiry; also false if more than `looks` of them would have to be checked. */
  allDue(table: number, nowMs: number, looks: number): boolean {
    const root = table >> 2;
    return (
      this.heap.count(root + HEAP_WORD) === this.count(root) &&
      this.heap.allDue(root + HEAP_WORD, nowMs, looks)
    );
  }

  /** Resizes the record in a slot, keeping its bytes up to the smaller length; the new place, 0 without memory. */
  private resize(slot: number, oldBytes: number, newBytes: number): number {
    const { words, arena } = this;
    const record = words[slot];
    if (arena.resizeInPlace(record, oldBytes, newBytes)) return record;
    const moved = arena.allocate(newBytes);
    if (moved === 0) return 0;
    this.memory.bytes.copyWithin(moved, record, record + Math.min(oldBytes, newBytes));
    arena.free(record, oldBytes);
    words[slot] = moved;
    return moved;
  }

  /** Gives the field in a slot another value, as `setValue` does; its expiry stays. */
  setValueKeepingExpiry(
    table: number,
    slot: number,
    valueBytes: Uint8Array,
    valueView: DataView,
    valueOffset: number,
    valueLength: number,
  ): boolean {
    const { words } = this;
    const { bytes, view } = this.memory;
    let record = words[slot];
    const expires = this.expires(record);
    const index = expires ? this.heapIndex(record) : 0;
    this.keep(table, record);
    if (valueLength !== this.valueLength(record)) {
      const oldBytes = this.recordBytes(record);
      const moved = this.resize(slot, oldBytes, oldBytes - this.valueLength(record) + valueLength);
      if (moved === 0) return false;
      if (expires && moved !== record) this.heap.relocate((table >> 2) + HEAP_WORD, index, moved);
      record = moved;
      words[record >> 2] = valueLength | (expires ? EXPIRES_BIT : 0);
      if (expires) this.setHeapIndex(record, index);
    }
    copyBytes(bytes, view, this.valueOffset(record), valueBytes, valueView, valueOffset, valueLength);
    return true;
  }

  /** Sets when the field in a slot expires; false, with nothing changed, if there is no memory. */
  setExpiry(table: number, slot: number, expiresAtMs: number): boolean {
    const { words, heap } = this;
    const root = (table >> 2) + HEAP_WORD;
    let record = words[slot];
    this.keep(table, record);
    if (this.expires(record)) {
      heap.change(root, this.heapIndex(record), expiresAtMs);
      return true;
    }
    if (!heap.reserve(root)) return false;
    const oldBytes = this.recordBytes(record);
    record = this.resize(slot, oldBytes, oldBytes + INDEX_BYTES);
    if (record === 0) return false;
    words[record >> 2] |= EXPIRES_BIT;
    heap.insert(root, expiresAtMs, record);
    return true;
  }

  /** Removes the expiry of the field in a slot. */
  clearExpiry(table: number, slot: number): void {
    const { words } = this;
    const record = words[slot];
    if (!this.expires(record)) return;
    this.keep(table, record);
    this.heap.remove((table >> 2) + HEAP_WORD, this.heapIndex(record));
    const oldBytes = this.recordBytes(record);
    words[record >> 2] &= LENGTH_MASK;
    this.arena.resizeInPlace(record, oldBytes, oldBytes - INDEX_BYTES);
  }

  override eraseRecord(table: number, hash: number, slot: number): void {
    const record = this.words[slot];
    this.keep(table, record);
    if (this.expires(record)) this.heap.remove((table >> 2) + HEAP_WORD, this.heapIndex(record));
    super.eraseRecord(table, hash, slot);
  }

  /** Bytes of the blocks other than table and records. */
  otherBytes(table: number): number {
    return blockBytes(BLOCK_BYTES) + this.heap.usedBytes((table >> 2) + HEAP_WORD);
  }

  /** Throws if an invariant of table or heap is broken. For tests. */
  verifyExpiries(table: number): void {
    const root = table >> 2;
    this.verify(root);
    this.heap.verify(root + HEAP_WORD, (record) => (this.expires(record) ? this.heapIndex(record) : -1));
    let expiring = 0;
    const position = new TablePosition();
    while (this.readLine(root, position)) {
      for (let index = 0; index < this.scannedCount; index++)
        if (this.expires(this.scanned[index])) expiring++;
    }
    if (expiring !== this.heap.count(root + HEAP_WORD))
      throw new Error('hash: the heap lacks a field that expires');
  }
}
