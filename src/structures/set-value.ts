/**
 * Sets. A set is an integer set while all members are integers and few, then a packed list while members
 * are few and short, then a dictionary.
 *
 *   record of the dictionary:  | left out (1 bit), member length (31 bits) | member |
 *
 * Members are read into `member`, one at a time. A handle names a member of a set until the set is changed: it is
 * an index (integer set), a position from the beginning of the packed list, which may move when a member is removed, or a
 * record (dictionary).
 */

import type { Arena } from '../memory/arena.js';
import { blockBytes } from '../memory/arena.js';
import { hashBytes } from '../memory/hash.js';
import type { ShardMemory } from '../memory/shard-memory.js';
import type { ByteRange } from './byte-range.js';
import { COPIES_OF_SMALL, CollectionValue, Encoding } from './collection-value.js';
import { copyBytes } from './copy.js';
import type { ElementView } from './element-view.js';
import { type ElementKeeper, Walk } from './element-walk.js';
import { IntegerSet } from './integer-set.js';
import { INDEXED_KEYS_MAX, type KeyIndex } from './key-index.js';
import { KeyedList } from './keyed-list.js';
import { MemberTable, ROOT_BYTES } from './member-table.js';
import { PACKED_LIST_BYTES_MAX } from './packed-list.js';
import { SetWalk } from './set-walk.js';
import type { ValueLimits } from './value-limits.js';

const RECORD_HEADER_BYTES = 4;
/** Bytes that a member takes beside its text, in any encoding. */
const MEMBER_OVERHEAD_BYTES = 32;
/** The longest text of an integer. */
const INTEGER_TEXT_BYTES = 20;

export const enum SetAdd {
  NoMemory = -1,
  Present = 0,
  Added = 1,
}

function random32(): number {
  return (Math.random() * 0x100000000) | 0;
}

export class SetValue extends CollectionValue {
  private readonly packed: KeyedList;
  private readonly integers: IntegerSet;
  private readonly table: MemberTable;

  /** The member that was read last. */
  readonly member: ByteRange;

  private readonly walk: SetWalk;
  /** For conversions, which may happen while members of `walk` are added. */
  private readonly conversionWalk: SetWalk;

  constructor(memory: ShardMemory, arena: Arena, limits: ValueLimits) {
    super(memory, arena, limits);
    this.packed = new KeyedList(memory, arena, 1);
    this.integers = new IntegerSet(memory, arena);
    this.table = new MemberTable(memory, arena, RECORD_HEADER_BYTES);
    this.walk = new SetWalk(memory, arena, this.table);
    this.conversionWalk = new SetWalk(memory, arena, this.table);
    this.member = this.walk.member;
  }

  override memberRoot(reference: number): number {
    return this.encoding(reference) === Encoding.Table ? this.blockOf(reference) >> 2 : 0;
  }

  override create(reference: number): boolean {
    const block = this.integers.create();
    if (block !== 0) this.setReference(reference, Encoding.Integers, block);
    return block !== 0;
  }

  /**
   * Bytes that adding `elements` members of `elementBytes` bytes in all may ask of the arena, conversions between
   * encodings included. For Arena.promise.
   */
  roomFor(reference: number, elements: number, elementBytes: number): number {
    const block = this.blockOf(reference);
    const addedBytes = elementBytes + elements * MEMBER_OVERHEAD_BYTES;
    if (this.encoding(reference) === Encoding.Table) {
      return addedBytes + this.table.growthBytes(block >> 2, elements);
    }
    const count = this.count(reference);
    const isOfIntegers = this.encoding(reference) === Encoding.Integers;
    const textBytes = isOfIntegers ? count * INTEGER_TEXT_BYTES : this.packed.totalBytes(block);
    // A small encoding is copied again and again as it grows; then all members become records of a table.
    const allBytes = textBytes + count * MEMBER_OVERHEAD_BYTES + addedBytes;
    return COPIES_OF_SMALL * allBytes + allBytes + this.table.growthBytes(0, count + elements);
  }

  override count(reference: number): number {
    const block = this.blockOf(reference);
    switch (this.encoding(reference)) {
      case Encoding.Integers:
        return this.integers.count(block);
      case Encoding.Packed:
        return this.packed.count(block);
      default:
        return this.table.count(block >> 2);
    }
  }

  contains(
    reference: number,
    bytes: Uint8Array,
    view: DataView,
    offset: number,
    lengthBytes: number,
  ): boolean {
    const block = this.blockOf(reference);
    const { integers, packed } = this;
    switch (this.encoding(reference)) {
      case Encoding.Integers:
        return (
          integers.parse(bytes, offset, lengthBytes) && integers.find(block, integers.high, integers.low)
        );
      case Encoding.Packed:
        return packed.findKey(block, bytes, view, offset, lengthBytes) !== 0;
      default: {
        const hash = hashBytes(view, offset, lengthBytes);
        return this.table.find(block >> 2, hash, bytes, view, offset, lengthBytes) !== 0;
      }
    }
  }

  /** Indexes a set for many lookups, if that makes them faster. Returns whether it has: `index` is good until the set changes. */
  indexMembers(reference: number, index: KeyIndex): boolean {
    if (this.encoding(reference) !== Encoding.Packed) return false;
    const block = this.blockOf(reference);
    const count = this.packed.fingerprintCount(block);
    if (count === 0 || count > INDEXED_KEYS_MAX) return false;
    index.build(this.packed, block);
    return true;
  }

  add(reference: number, bytes: Uint8Array, view: DataView, offset: number, lengthBytes: number): SetAdd {
    switch (this.encoding(reference)) {
      case Encoding.Integers:
        return this.addToIntegers(reference, bytes, view, offset, lengthBytes);
      case Encoding.Packed:
        return this.addToPacked(reference, bytes, view, offset, lengthBytes);
      default:
        return this.addToTable(this.blockOf(reference), bytes, view, offset, lengthBytes);
    }
  }

  private addToIntegers(
    reference: number,
    bytes: Uint8Array,
    view: DataView,
    offset: number,
    lengthBytes: number,
  ): SetAdd {
    const { integers, limits } = this;
    const block = this.blockOf(reference);
    const count = integers.count(block);
    if (integers.parse(bytes, offset, lengthBytes)) {
      const { high, low } = integers;
      if (integers.find(block, high, low)) return SetAdd.Present;
      if (count < limits.setIntegerEntries) {
        const grown = integers.insert(block, high, low);
        if (grown === 0) return SetAdd.NoMemory;
        this.setReference(reference, Encoding.Integers, grown);
        return SetAdd.Added;
      }
      if (!this.convertToTable(reference)) return SetAdd.NoMemory;
    } else if (count < limits.setPackedEntries && lengthBytes <= limits.setPackedValueBytes) {
      if (!this.convertToPacked(reference)) return SetAdd.NoMemory;
    } else if (!this.convertToTable(reference)) {
      return SetAdd.NoMemory;
    }
    return this.add(reference, bytes, view, offset, lengthBytes);
  }

  private addToPacked(
    reference: number,
    bytes: Uint8Array,
    view: DataView,
    offset: number,
    lengthBytes: number,
  ): SetAdd {
    const { packed, limits } = this;
    const block = this.blockOf(reference);
    if (packed.findKey(block, bytes, view, offset, lengthBytes) !== 0) return SetAdd.Present;
    if (
      packed.count(block) >= limits.setPackedEntries ||
      lengthBytes > limits.setPackedValueBytes ||
      packed.totalBytes(block) + lengthBytes > PACKED_LIST_BYTES_MAX >> 1
    ) {
      if (!this.convertToTable(reference)) return SetAdd.NoMemory;
      return this.addToTable(this.blockOf(reference), bytes, view, offset, lengthBytes);
    }
    const grown = packed.append(block, bytes, view, offset, lengthBytes);
    if (grown === 0) return SetAdd.NoMemory;
    this.setReference(reference, Encoding.Packed, grown);
    return SetAdd.Added;
  }

  private addToTable(
    block: number,
    bytes: Uint8Array,
    view: DataView,
    offset: number,
    lengthBytes: number,
  ): SetAdd {
    const hash = hashBytes(view, offset, lengthBytes);
    if (this.table.find(block >> 2, hash, bytes, view, offset, lengthBytes) !== 0) return SetAdd.Present;
    const recordBytes = RECORD_HEADER_BYTES + lengthBytes;
    const record = this.arena.allocate(recordBytes);
    if (record === 0) return SetAdd.NoMemory;
    this.words[record >> 2] = lengthBytes;
    copyBytes(this.bytes, this.view, record + RECORD_HEADER_BYTES, bytes, view, offset, lengthBytes);
    if (this.table.insertRecord(block, hash, record)) return SetAdd.Added;
    this.arena.free(record, recordBytes);
    return SetAdd.NoMemory;
  }

  private convertToPacked(reference: number): boolean {
    const { packed } = this;
    let list = packed.create();
    if (list === 0) return false;
    const walk = this.conversionWalk;
    for (walk.begin(this.encoding(reference), this.blockOf(reference)); walk.next(); ) {
      const { bytes, view, offset, lengthBytes } = walk.member;
      const grown = packed.append(list, bytes, view, offset, lengthBytes);
      if (grown === 0) {
        packed.release(list);
        return false;
      }
      list = grown;
    }
    this.release(reference);
    this.setReference(reference, Encoding.Packed, list);
    return true;
  }

  private convertToTable(reference: number): boolean {
    const root = this.table.create(this.count(reference) + 1);
    if (root === 0) return false;
    this.conversionWalk.begin(this.encoding(reference), this.blockOf(reference));
    if (!this.fillTable(root, this.conversionWalk)) return false;
    this.release(reference);
    this.setReference(reference, Encoding.Table, root);
    return true;
  }

  /** Adds the members of a walk to a table; if there is no memory, frees the table and returns false. */
  private fillTable(block: number, walk: SetWalk): boolean {
    while (walk.next()) {
      const { bytes, view, offset, lengthBytes } = walk.member;
      if (this.addToTable(block, bytes, view, offset, lengthBytes) === SetAdd.NoMemory) {
        this.table.release(block);
        return false;
      }
    }
    return true;
  }

  /** Removes a member; returns whether it was one. */
  remove(reference: number, bytes: Uint8Array, view: DataView, offset: number, lengthBytes: number): boolean {
    const block = this.blockOf(reference);
    const { integers, packed, table } = this;
    switch (this.encoding(reference)) {
      case Encoding.Integers:
        if (!integers.parse(bytes, offset, lengthBytes)) return false;
        if (!integers.find(block, integers.high, integers.low)) return false;
        this.removeHandle(reference, integers.position);
        return true;
      case Encoding.Packed: {
        const at = packed.findKey(block, bytes, view, offset, lengthBytes);
        if (at !== 0) this.removeHandle(reference, at - block);
        return at !== 0;
      }
      default: {
        const hash = hashBytes(view, offset, lengthBytes);
        const slot = table.find(block >> 2, hash, bytes, view, offset, lengthBytes);
        if (slot !== 0) table.eraseRecord(block, hash, slot);
        return slot !== 0;
      }
    }
  }

  /** Removes the member that a handle names; in a small set, greater handles become invalid. */
  removeHandle(reference: number, handle: number): void {
    const block = this.blockOf(reference);
    const { table } = this;
    switch (this.encoding(reference)) {
      case Encoding.Integers:
        this.integers.remove(block, handle);
        break;
      case Encoding.Packed:
        this.setReference(reference, Encoding.Packed, this.packed.removeKey(block, block + handle));
        break;
      default: {
        const hash = table.hashOf(handle);
        table.eraseRecord(block, hash, table.slotOf(block >> 2, hash, handle));
      }
    }
  }

  /** A handle drawn uniformly from a set that is not empty. */
  randomHandle(reference: number): number {
    const block = this.blockOf(reference);
    switch (this.encoding(reference)) {
      case Encoding.Integers:
        return Math.floor(Math.random() * this.integers.count(block));
      case Encoding.Packed:
        return this.packed.seek(block, Math.floor(Math.random() * this.packed.count(block))) - block;
      default:
        return this.table.random(block >> 2, random32());
    }
  }

  /** Reads the member that a handle names. */
  readHandle(reference: number, handle: number): void {
    this.walk.read(this.encoding(reference), this.blockOf(reference), handle);
  }

  /**
   * Begins a walk over all members. Until it ends, this set must not change; lookups and additions to other sets are
   * allowed. There can be only one walk at a time.
   */
  begin(reference: number): void {
    this.walk.begin(this.encoding(reference), this.blockOf(reference));
  }

  /** Reads the next member of the walk into `member`; false at the end. `handle` names it. */
  next(): boolean {
    return this.walk.next();
  }

  /** Like `next`, but may skip members that are not in each of the first `count` indexed sets. */
  nextInAll(indexes: readonly KeyIndex[], count: number): boolean {
    return this.walk.nextInAll(indexes, count);
  }

  /** The fingerprint of the member that `next` has read, `NO_FINGERPRINT` if the set has none. */
  get fingerprint(): number {
    return this.walk.fingerprint;
  }

  /** The handle of the member that `next` has read. */
  get handle(): number {
    return this.walk.handle;
  }

  /**
   * One step of a scan: makes `next` walk over the members at a cursor. Returns the next cursor, 0 at the end. A
   * small set is one step.
   */
  scanStep(reference: number, cursor: number): number {
    return this.walk.beginStep(this.encoding(reference), this.blockOf(reference), cursor);
  }

  override setKeeper(keeper: ElementKeeper): void {
    super.setKeeper(keeper);
    this.table.keeper = keeper;
  }

  override walkSteps(reference: number): number {
    return this.encoding(reference) === Encoding.Table ? this.count(reference) : 0;
  }

  override walkOf(reference: number): number {
    return this.encoding(reference) === Encoding.Table ? this.table.walkOf(this.blockOf(reference)) : 0;
  }

  override beginWalk(reference: number, walk: number): boolean {
    this.words[walk + Walk.Position] = 0;
    this.table.setWalk(this.blockOf(reference), walk);
    return true;
  }

  override stepWalk(reference: number, steps: number): boolean {
    return this.stepTable(this.table, this.blockOf(reference), steps);
  }

  /** Reads a record of a large set. */
  viewRecord(record: number, view: ElementView): void {
    view.offset = this.table.memberOffset(record);
    view.lengthBytes = this.table.memberLength(record);
  }

  override endWalk(reference: number): void {
    this.table.setWalk(this.blockOf(reference), 0);
  }

  override releaseSteps(reference: number): number {
    return this.encoding(reference) === Encoding.Table ? this.table.count(this.blockOf(reference) >> 2) : 1;
  }

  override releaseSome(reference: number, steps: number): boolean {
    const block = this.blockOf(reference);
    switch (this.encoding(reference)) {
      case Encoding.Integers:
        this.integers.release(block);
        return true;
      case Encoding.Packed:
        this.packed.release(block);
        return true;
      default:
        return this.table.releaseSome(block, steps);
    }
  }

  override copy(reference: number, source: this, sourceReference: number): boolean {
    const encoding = source.encoding(sourceReference);
    const sourceBlock = source.blockOf(sourceReference);
    let block: number;
    if (encoding === Encoding.Integers) {
      block = this.integers.copy(source.integers, sourceBlock);
    } else if (encoding === Encoding.Packed) {
      block = this.packed.copy(source.packed, sourceBlock);
    } else {
      block = this.table.create(source.count(sourceReference));
      source.begin(sourceReference);
      if (block !== 0 && !this.fillTable(block, source.walk)) return false;
    }
    if (block !== 0) this.setReference(reference, encoding, block);
    return block !== 0;
  }

  override usedBytes(reference: number, samples: number): number {
    const block = this.blockOf(reference);
    const encoding = this.encoding(reference);
    if (encoding === Encoding.Integers) return this.integers.blockBytes(block);
    if (encoding === Encoding.Packed) return blockBytes(this.packed.blockBytes(block));
    const count = this.table.count(block >> 2);
    const wanted = samples === 0 ? count : Math.min(samples, count);
    let sampled = 0;
    let sampledBytes = 0;
    for (this.begin(reference); sampled < wanted && this.next(); sampled++) {
      sampledBytes += blockBytes(RECORD_HEADER_BYTES + this.member.lengthBytes);
    }
    const recordBytes = Math.round((sampledBytes / sampled) * count);
    return blockBytes(ROOT_BYTES) + this.table.tableBytes(block >> 2) + recordBytes;
  }

  override verify(reference: number): void {
    const block = this.blockOf(reference);
    const encoding = this.encoding(reference);
    if (encoding === Encoding.Integers) this.integers.verify(block);
    else if (encoding === Encoding.Packed) this.packed.verify(block);
    else if (encoding === Encoding.Table) this.table.verify(block >> 2);
    else throw new Error(`set: encoding ${encoding}`);
  }
}
