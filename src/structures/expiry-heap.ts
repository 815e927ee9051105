/**
 * Which field of a large hash expires next: a heap with four children to a node (Johnson, 1975), which is half as
 * deep as one with two. It lies in pages, so that it grows without ever being copied as a whole.
 *
 *   root (in the caller's memory):  | directory | its capacity in pages | count |
 *
 *   directory: offsets of pages, 0 where there is none
 *   page:  | 64 times, f64 | 64 records |        item i: place i & 63 of page i >> 6
 *
 * The heap tells its owner where each record is (`setHeapIndex`), so that any of them can be taken out.
 */

import type { Arena } from '../memory/arena.js';
import { blockBytes } from '../memory/arena.js';
import type { ShardMemory } from '../memory/shard-memory.js';

/** Words of a heap's root. All zero: an empty heap. */
export const enum HeapRoot {
  Directory = 0,
  Capacity = 1,
  Count = 2,
  WORDS = 3,
}

const PAGE_ITEMS_LOG2 = 6;
const PAGE_ITEMS = 1 << PAGE_ITEMS_LOG2;
const PAGE_MASK = PAGE_ITEMS - 1;
const PAGE_BYTES = PAGE_ITEMS * 12;
const RECORDS_WORD = PAGE_ITEMS * 2;
const CAPACITY_MIN = 2;
/** Items that `countDue` visits from the top down before it reads all in memory order, which is faster for many. */
const DESCENT_LOOKS = 1024;

/** Stores each record's index in the heap. */
export interface HeapOwner {
  setHeapIndex(record: number, index: number): void;
}

export class ExpiryHeap {
  private readonly words: Int32Array;
  private readonly doubles: Float64Array;
  private readonly arena: Arena;
  private readonly owner: HeapOwner;
  /** Items that `countDue` may still visit; below 0: there were too many. */
  private looksLeft = 0;

  constructor(memory: ShardMemory, arena: Arena, owner: HeapOwner) {
    this.words = memory.words;
    this.doubles = memory.doubles;
    this.arena = arena;
    this.owner = owner;
  }

  /** Most bytes that a heap of `count` items allocates while `added` more are inserted. */
  static growthBytes(count: number, added: number): number {
    const pages = (count + added + PAGE_ITEMS) >> PAGE_ITEMS_LOG2;
    // All directories up to the last one, which is at most twice as long as necessary.
    return ((added >> PAGE_ITEMS_LOG2) + 1) * PAGE_BYTES + 4 * 4 * Math.max(CAPACITY_MIN, pages);
  }

  count(root: number): number {
    return this.words[root + HeapRoot.Count];
  }

  /** The earliest time, -1 if the heap is empty. */
  firstTime(root: number): number {
    return this.words[root + HeapRoot.Count] === 0 ? -1 : this.timeAt(root, 0);
  }

  /** The record with the earliest time. */
  firstRecord(root: number): number {
    return this.recordAt(root, 0);
  }

  private page(root: number, index: number): number {
    return this.words[(this.words[root] >> 2) + (index >> PAGE_ITEMS_LOG2)];
  }

  timeAt(root: number, index: number): number {
    return this.doubles[(this.page(root, index) >> 3) + (index & PAGE_MASK)];
  }

  recordAt(root: number, index: number): number {
    return this.words[(this.page(root, index) >> 2) + RECORDS_WORD + (index & PAGE_MASK)];
  }

  private put(root: number, index: number, timeMs: number, record: number): void {
    const page = this.page(root, index);
    this.doubles[(page >> 3) + (index & PAGE_MASK)] = timeMs;
    this.words[(page >> 2) + RECORDS_WORD + (index & PAGE_MASK)] = record;
    this.owner.setHeapIndex(record, index);
  }

  /** Makes sure that the next `insert` finds room; false, with nothing changed, if there is no memory. */
  reserve(root: number): boolean {
    const { words, arena } = this;
    const wanted = words[root + HeapRoot.Count] >> PAGE_ITEMS_LOG2;
    const capacity = words[root + HeapRoot.Capacity];
    if (wanted >= capacity) {
      const larger = Math.max(CAPACITY_MIN, capacity * 2);
      const directory = arena.allocate(larger * 4);
      if (directory === 0) return false;
      const at = directory >> 2;
      const old = words[root] >> 2;
      words.copyWithin(at, old, old + capacity);
      words.fill(0, at + capacity, at + larger);
      if (capacity !== 0) arena.free(words[root], capacity * 4);
      words[root] = directory;
      words[root + HeapRoot.Capacity] = larger;
    }
    const slot = (words[root] >> 2) + wanted;
    if (words[slot] === 0) words[slot] = arena.allocate(PAGE_BYTES);
    return words[slot] !== 0;
  }

  /** Adds a record, after `reserve`. */
  insert(root: number, timeMs: number, record: number): void {
    this.rise(root, this.words[root + HeapRoot.Count]++, timeMs, record);
  }

  /** Gives the record at an index another time. */
  change(root: number, index: number, timeMs: number): void {
    this.settle(root, index, timeMs, this.recordAt(root, index));
  }

  /** Sets the new offset of the record at an index. */
  relocate(root: number, index: number, record: number): void {
    this.words[(this.page(root, index) >> 2) + RECORDS_WORD + (index & PAGE_MASK)] = record;
  }

  /** Takes the record at an index out. */
  remove(root: number, index: number): void {
    const { words } = this;
    const last = --words[root + HeapRoot.Count];
    if (index !== last) this.settle(root, index, this.timeAt(root, last), this.recordAt(root, last));
    if (last === 0) this.release(root);
    else if ((last & PAGE_MASK) === 0) this.freePage((words[root] >> 2) + (last >> PAGE_ITEMS_LOG2));
  }

  private freePage(slot: number): void {
    if (this.words[slot] !== 0) this.arena.free(this.words[slot], PAGE_BYTES);
    this.words[slot] = 0;
  }

  /** Puts an item at an index or wherever above or below it belongs. */
  private settle(root: number, index: number, timeMs: number, record: number): void {
    if (index > 0 && timeMs < this.timeAt(root, (index - 1) >> 2)) this.rise(root, index, timeMs, record);
    else this.sink(root, index, timeMs, record);
  }

  private rise(root: number, index: number, timeMs: number, record: number): void {
    while (index > 0) {
      const parent = (index - 1) >> 2;
      const parentTime = this.timeAt(root, parent);
      if (parentTime <= timeMs) break;
      this.put(root, index, parentTime, this.recordAt(root, parent));
      index = parent;
    }
    this.put(root, index, timeMs, record);
  }

  private sink(root: number, index: number, timeMs: number, record: number): void {
    const count = this.words[root + HeapRoot.Count];
    for (let first = 4 * index + 1; first < count; first = 4 * index + 1) {
      let earliest = first;
      let earliestTime = this.timeAt(root, first);
      for (let child = first + 1; child < Math.min(count, first + 4); child++) {
        const time = this.timeAt(root, child);
        if (time >= earliestTime) continue;
        earliest = child;
        earliestTime = time;
      }
      if (earliestTime >= timeMs) break;
      this.put(root, index, earliestTime, this.recordAt(root, earliest));
      index = earliest;
    }
    this.put(root, index, timeMs, record);
  }

  /** Number of items due at `nowMs`; quick if there are few. */
  countDue(root: number, nowMs: number): number {
    if (this.words[root + HeapRoot.Count] === 0) return 0;
    this.looksLeft = DESCENT_LOOKS;
    const due = this.countDueBelow(root, 0, nowMs);
    return this.looksLeft >= 0 ? due : this.countDueInOrder(root, nowMs);
  }

  private countDueInOrder(root: number, nowMs: number): number {
    const { doubles, words } = this;
    const directory = words[root] >> 2;
    let due = 0;
    let left = words[root + HeapRoot.Count];
    for (let page = 0; left > 0; page++, left -= PAGE_ITEMS) {
      const start = words[directory + page] >> 3;
      const end = start + Math.min(left, PAGE_ITEMS);
      for (let at = start; at < end; at++) if (doubles[at] <= nowMs) due++;
    }
    return due;
  }

  private countDueBelow(root: number, index: number, nowMs: number): number {
    if (this.timeAt(root, index) > nowMs || this.looksLeft-- < 0) return 0;
    const end = Math.min(4 * index + 5, this.words[root + HeapRoot.Count]);
    let due = 1;
    for (let child = 4 * index + 1; child < end; child++) due += this.countDueBelow(root, child, nowMs);
    return due;
  }

  /** Whether all items are due at `nowMs`; also false if there are more than `looks` items. */
  allDue(root: number, nowMs: number, looks: number): boolean {
    const count = this.words[root + HeapRoot.Count];
    if (count > looks) return false;
    // Starts at the end, where late times are.
    for (let index = count - 1; index >= 0; index--) if (this.timeAt(root, index) > nowMs) return false;
    return true;
  }

  /** Frees all pages, and leaves an empty heap. */
  release(root: number): void {
    const { words } = this;
    const capacity = words[root + HeapRoot.Capacity];
    if (capacity === 0) return;
    const start = words[root] >> 2;
    for (let slot = start; slot < start + capacity; slot++) this.freePage(slot);
    this.arena.free(words[root], capacity * 4);
    words.fill(0, root, root + HeapRoot.WORDS);
  }

  /** Bytes that the heap takes of the arena. */
  usedBytes(root: number): number {
    const { words } = this;
    const capacity = words[root + HeapRoot.Capacity];
    if (capacity === 0) return 0;
    let total = blockBytes(capacity * 4);
    const start = words[root] >> 2;
    for (let slot = start; slot < start + capacity; slot++)
      if (words[slot] !== 0) total += blockBytes(PAGE_BYTES);
    return total;
  }

  /** Throws if an invariant is broken. For tests. `indexOf` tells where the owner believes a record to be. */
  verify(root: number, indexOf: (record: number) => number): void {
    const count = this.words[root + HeapRoot.Count];
    for (let index = 0; index < count; index++) {
      const parent = (index - 1) >> 2;
      if (index > 0 && this.timeAt(root, parent) > this.timeAt(root, index)) {
        throw new Error('expiry heap: a child is before its parent');
      }
      if (indexOf(this.recordAt(root, index)) !== index)
        throw new Error('expiry heap: a record is elsewhere');
    }
    const pages = (count + PAGE_MASK) >> PAGE_ITEMS_LOG2;
    for (let page = pages + 1; page < this.words[root + HeapRoot.Capacity]; page++) {
      if (this.words[(this.words[root] >> 2) + page] !== 0)
        throw new Error('expiry heap: a page without items');
    }
  }
}
