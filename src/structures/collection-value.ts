/**
 * What hashes, lists, sets, sorted sets and streams have in common: the value of such a key is a reference of five
 * bytes, and its data lies in separate blocks.
 *
 *   reference, at any byte offset
 *   +----------+----------------+
 *   | encoding | offset (word)  |   of the packed list, or of the root of what it has grown into
 *   +----------+----------------+
 *
 * The entry that holds the reference does not move while a collection changes. Methods take the offset of
 * the reference and update the reference. A method that adds elements adds all of them or, if there is no memory,
 * none.
 *
 * Each type has a subclass, which knows the type's encodings and when to convert one into the next.
 */

import type { Arena } from '../memory/arena.js';
import type { ShardMemory } from '../memory/shard-memory.js';
import { SCAN_STEP_RECORDS_MAX } from './dictionary.js';
import type { ElementKeeper } from './element-walk.js';
import type { MemberTable } from './member-table.js';
import type { ValueLimits } from './value-limits.js';

export const REFERENCE_BYTES = 5;

/** How a collection is kept; the numbers index ENCODING_NAMES. */
export const enum Encoding {
  Packed = 0,
  Integers = 1,
  Chunks = 2,
  Table = 3,
  Tree = 4,
  /** A packed hash and a hash in a dictionary that have, or once had, fields with an expiry. */
  PackedExpiring = 5,
  TableExpiring = 6,
  Stream = 7,
}

/** The names that OBJECT ENCODING reports. */
export const ENCODING_NAMES: readonly string[] = [
  'listpack',
  'intset',
  'quicklist',
  'hashtable',
  'skiplist',
  'listpackex',
  'hashtable',
  'stream',
];

/**
 * A block that grows in steps, by copying, takes at most this many times its final length from one piece of free
 * memory: the blocks that it has left are reused as soon as they are long enough together.
 */
export const COPIES_OF_SMALL = 4;

/** Collections with more elements are long (`isLong`), unless a subclass decides otherwise. */
const LONG_ELEMENTS = 1024;

/** Most elements that a step of a walk may return: twice the maximum of a scan step. */
const STEPPED_MAX = 2 * SCAN_STEP_RECORDS_MAX;
/** Shared by all collections of a thread. */
const stepped = new Int32Array(STEPPED_MAX);

export abstract class CollectionValue {
  protected readonly memory: ShardMemory;
  protected readonly arena: Arena;
  protected readonly bytes: Uint8Array;
  protected readonly words: Int32Array;
  protected readonly view: DataView;
  protected readonly limits: ValueLimits;

  /** Is given elements that a walk has not reached yet before they change. */
  protected keeper: ElementKeeper | null = null;
  /** Records (chunks of a list) that the last step of a walk has visited. */
  readonly stepped = stepped;
  steppedCount = 0;

  constructor(memory: ShardMemory, arena: Arena, limits: ValueLimits) {
    this.memory = memory;
    this.arena = arena;
    this.bytes = memory.bytes;
    this.words = memory.words;
    this.view = memory.view;
    this.limits = limits;
  }

  encoding(reference: number): Encoding {
    return this.bytes[reference];
  }

  /** Offset of the block that a reference names; its layout is the encoding's. */
  blockOf(reference: number): number {
    return this.view.getInt32(reference + 1, true);
  }

  protected setReference(reference: number, encoding: Encoding, block: number): void {
    this.bytes[reference] = encoding;
    this.view.setInt32(reference + 1, block, true);
  }

  /** Word index of the root of the dictionary with the members, 0 if the collection has no dictionary. */
  memberRoot(_reference: number): number {
    return 0;
  }

  /** Makes the reference (whose bytes are undefined so far) an empty collection; false if there is no memory. */
  abstract create(reference: number): boolean;

  /** Number of elements (of fields in a hash). */
  abstract count(reference: number): number;

  /** Whether there are no elements. */
  isEmpty(reference: number): boolean {
    return this.count(reference) === 0;
  }

  /** Frees everything that the reference names. */
  release(reference: number): void {
    while (!this.releaseSome(reference, Number.MAX_SAFE_INTEGER)) {}
  }

  /**
   * Frees about `steps` blocks of what the reference names, leaving a reference that can only be released
   * further; true when nothing is left.
   */
  abstract releaseSome(reference: number, steps: number): boolean;

  /** About how many blocks `release` has to free. */
  abstract releaseSteps(reference: number): number;

  /**
   * Makes the reference (whose bytes are undefined so far) a copy of a collection of this shard or of another;
   * false, with nothing allocated, if there is no memory.
   */
  abstract copy(reference: number, source: this, sourceReference: number): boolean;

  /** Bytes that the collection takes beside its entry; estimated from `samples` elements, 0 for all. */
  abstract usedBytes(reference: number, samples: number): number;

  setKeeper(keeper: ElementKeeper): void {
    this.keeper = keeper;
  }

  /** How many elements (chunks of a list) a walk over the collection would visit; 0: it is too small for a walk. */
  abstract walkSteps(reference: number): number;

  /** Whether a snapshot should walk over the collection instead of writing it at once. */
  isLong(reference: number): boolean {
    return this.walkSteps(reference) > LONG_ELEMENTS;
  }

  /** Begins a walk (element-walk.ts), which lasts until `endWalk`; false, with nothing changed, without memory. */
  abstract beginWalk(reference: number, walk: number): boolean;

  /** The walk that is under way, 0 for none. */
  abstract walkOf(reference: number): number;

  /** Visits about `steps` more elements and puts them into `stepped`; false if there are no more. */
  abstract stepWalk(reference: number, steps: number): boolean;

  abstract endWalk(reference: number): void;

  /** `stepWalk` for a collection whose elements are in a table. */
  protected stepTable(table: MemberTable, block: number, steps: number): boolean {
    this.steppedCount = 0;
    do {
      if (!table.stepWalk(block)) return this.steppedCount > 0;
      for (let index = 0; index < table.scannedCount; index++) {
        stepped[this.steppedCount++] = table.scanned[index];
      }
    } while (this.steppedCount < Math.min(steps, SCAN_STEP_RECORDS_MAX));
    return true;
  }

  /** Throws if an invariant is broken. For tests. */
  abstract verify(reference: number): void;
}
