/**
 * Hashes. A hash is a packed list of fields and values by turns while fields are few and fields and values are short,
 * then a dictionary (hash-table.ts).
 *
 * Fields and values are read into `field` and `value`, one pair at a time. A handle names a field of a hash until the
 * hash is changed: it is the field's position (packed list) or a record (dictionary).
 */

import type { Arena } from '../memory/arena.js';
import { blockBytes } from '../memory/arena.js';
import type { ShardMemory } from '../memory/shard-memory.js';
import type { ByteRange } from './byte-range.js';
import { CollectionValue, Encoding } from './collection-value.js';
import { HashTable } from './hash-table.js';
import { HashWalk } from './hash-walk.js';
import { ROOT_BYTES } from './member-table.js';
import { PACKED_LIST_BYTES_MAX } from './packed-list.js';
import type { ValueLimits } from './value-limits.js';

export const enum HashSet {
  NoMemory = -1,
  Updated = 0,
  Added = 1,
}

function random32(): number {
  return (Math.random() * 0x100000000) | 0;
}

export class HashValue extends CollectionValue {
  private readonly table: HashTable;
  private readonly walk: HashWalk;
  /** Conversions happen while fields of another walk are set. */
  private readonly conversionWalk: HashWalk;

  /** The field and the value that were read last. */
  readonly field: ByteRange;
  readonly value: ByteRange;

  constructor(memory: ShardMemory, arena: Arena, limits: ValueLimits) {
    super(memory, arena, limits);
    this.table = new HashTable(memory, arena);
    this.walk = new HashWalk(memory, arena, this.table);
    this.conversionWalk = new HashWalk(memory, arena, this.table);
    this.field = this.walk.field;
    this.value = this.walk.value;
  }

  override create(reference: number): boolean {
    const block = this.packed.create();
    if (block !== 0) this.setReference(reference, Encoding.Packed, block);
    return block !== 0;
  }

  override count(reference: number): number {
    const block = this.blockOf(reference);
    return this.encoding(reference) === Encoding.Packed
      ? this.packed.count(block) >> 1
      : this.table.count(block >> 2);
  }

  /** The handle of a field, 0 if there is none. */
  find(reference: number, bytes: Uint8Array, view: DataView, offset: number, lengthBytes: number): number {
    const block = this.blockOf(reference);
    if (this.encoding(reference) === Encoding.Packed) {
      return this.packed.find(this.packed.first(block), 1, bytes, view, offset, lengthBytes);
    }
    const slot = this.table.findField(block, bytes, view, offset, lengthBytes);
    return slot === 0 ? 0 : this.words[slot];
  }

  /** Sets a field, which may be there or not. Field and value may lie in this shard, but not in this hash. */
  set(
    reference: number,
    fieldBytes: Uint8Array,
    fieldView: DataView,
    fieldOffset: number,
    fieldLength: number,
    valueBytes: Uint8Array,
    valueView: DataView,
    valueOffset: number,
    valueLength: number,
  ): HashSet {
    if (this.encoding(reference) === Encoding.Packed) {
      const { packed } = this;
      const block = this.blockOf(reference);
      const at = packed.find(packed.first(block), 1, fieldBytes, fieldView, fieldOffset, fieldLength);
      if (this.fitsPacked(block, at, fieldLength, valueLength)) {
        const changed =
          at !== 0
            ? packed.replace(block, packed.next(at), valueBytes, valueView, valueOffset, valueLength)
            : packed.appendPair(
                block,
                fieldBytes,
                fieldView,
                fieldOffset,
                fieldLength,
                valueBytes,
                valueView,
                valueOffset,
                valueLength,
              );
        if (changed === 0) return HashSet.NoMemory;
        this.setReference(reference, Encoding.Packed, changed);
        return at !== 0 ? HashSet.Updated : HashSet.Added;
      }
      if (!this.convertToTable(reference)) return HashSet.NoMemory;
    }
    const { table } = this;
    const block = this.blockOf(reference);
    const slot = table.findField(block, fieldBytes, fieldView, fieldOffset, fieldLength);
    if (slot !== 0) {
      const isSet = table.setValue(slot, valueBytes, valueView, valueOffset, valueLength);
      return isSet ? HashSet.Updated : HashSet.NoMemory;
    }
    const isAdded = table.addField(
      block,
      fieldBytes,
      fieldView,
      fieldOffset,
      fieldLength,
      valueBytes,
      valueView,
      valueOffset,
      valueLength,
    );
    return isAdded ? HashSet.Added : HashSet.NoMemory;
  }

  /** Whether a packed hash stays one when the field at `at` (0: a new one) gets a value. */
  private fitsPacked(block: number, at: number, fieldLength: number, valueLength: number): boolean {
    const { packed, limits } = this;
    return (
      fieldLength <= limits.hashPackedValueBytes &&
      valueLength <= limits.hashPackedValueBytes &&
      (at !== 0 || packed.count(block) >> 1 < limits.hashPackedEntries) &&
      packed.totalBytes(block) + fieldLength + valueLength <= PACKED_LIST_BYTES_MAX >> 1
    );
  }

  private convertToTable(reference: number): boolean {
    const block = this.table.create();
    if (block === 0) return false;
    this.conversionWalk.begin(Encoding.Packed, this.blockOf(reference));
    if (!this.fillTable(block, this.conversionWalk)) return false;
    this.release(reference);
    this.setReference(reference, Encoding.Table, block);
    return true;
  }

  /** Adds the fields of a walk to a table; if there is no memory, frees the table and returns false. */
  private fillTable(block: number, walk: HashWalk): boolean {
    const { field, value } = walk;
    while (walk.next()) {
      const isAdded = this.table.addField(
        block,
        field.bytes,
        field.view,
        field.offset,
        field.lengthBytes,
        value.bytes,
        value.view,
        value.offset,
        value.lengthBytes,
      );
      if (isAdded) continue;
      this.table.release(block);
      return false;
    }
    return true;
  }

  /** Removes a field; returns whether it was there. */
  remove(reference: number, bytes: Uint8Array, view: DataView, offset: number, lengthBytes: number): boolean {
    const { packed, table } = this;
    const block = this.blockOf(reference);
    if (this.encoding(reference) === Encoding.Packed) {
      const at = packed.find(packed.first(block), 1, bytes, view, offset, lengthBytes);
      if (at === 0) return false;
      this.setReference(reference, Encoding.Packed, packed.remove(block, at, 2));
      return true;
    }
    const slot = table.findField(block, bytes, view, offset, lengthBytes);
    if (slot === 0) return false;
    table.eraseRecord(block, table.hashOf(this.words[slot]), slot);
    return true;
  }

  /** A handle drawn uniformly from a hash that is not empty. */
  randomHandle(reference: number): number {
    const { packed } = this;
    const block = this.blockOf(reference);
    if (this.encoding(reference) === Encoding.Packed) {
      return packed.seek(block, 2 * Math.floor(Math.random() * (packed.count(block) >> 1)));
    }
    return this.table.random(block >> 2, random32());
  }

  /** Reads the field that a handle names, and its value. */
  readHandle(reference: number, handle: number): void {
    this.walk.read(this.encoding(reference), handle);
  }

  /** Reads the value of the field that a handle names. */
  readValue(reference: number, handle: number): void {
    this.walk.readValue(this.encoding(reference), handle);
  }

  /**
   * Begins a walk over all fields. Until it ends, hashes of this shard may be looked up in and other hashes
   * changed, but not this one, and there is one walk at a time.
   */
  begin(reference: number): void {
    this.walk.begin(this.encoding(reference), this.blockOf(reference));
  }

  /** Reads the next field of the walk and its value; false at the end. `handle` names it. */
  next(): boolean {
    return this.walk.next();
  }

  /** The handle of the field that `next` has read. */
  get handle(): number {
    return this.walk.handle;
  }

  /**
   * One step of a scan: makes `next` walk over the fields at a cursor. Returns the next cursor, 0 at the end. A
   * packed hash is one step.
   */
  scanStep(reference: number, cursor: number): number {
    return this.walk.beginStep(this.encoding(reference), this.blockOf(reference), cursor);
  }

  override releaseSteps(reference: number): number {
    return this.encoding(reference) === Encoding.Table ? this.table.count(this.blockOf(reference) >> 2) : 1;
  }

  override releaseSome(reference: number, steps: number): boolean {
    const block = this.blockOf(reference);
    if (this.encoding(reference) === Encoding.Table) return this.table.releaseSome(block, steps);
    this.packed.release(block);
    return true;
  }

  override copy(reference: number, source: this, sourceReference: number): boolean {
    const encoding = source.encoding(sourceReference);
    let block: number;
    if (encoding === Encoding.Packed) {
      block = this.packed.copy(source.packed, source.blockOf(sourceReference));
    } else {
      block = this.table.create();
      source.begin(sourceReference);
      if (block !== 0 && !this.fillTable(block, source.walk)) return false;
    }
    if (block !== 0) this.setReference(reference, encoding, block);
    return block !== 0;
  }

  override usedBytes(reference: number, samples: number): number {
    const { table, walk } = this;
    const block = this.blockOf(reference);
    if (this.encoding(reference) === Encoding.Packed) return blockBytes(this.packed.blockBytes(block));
    const count = table.count(block >> 2);
    const wanted = samples === 0 ? count : Math.min(samples, count);
    let sampled = 0;
    let sampledBytes = 0;
    for (this.begin(reference); sampled < wanted && walk.next(); sampled++) {
      sampledBytes += blockBytes(table.recordBytes(walk.handle));
    }
    const recordBytes = sampled === 0 ? 0 : Math.round((sampledBytes / sampled) * count);
    return blockBytes(ROOT_BYTES) + table.tableBytes(block >> 2) + recordBytes;
  }

  override verify(reference: number): void {
    const block = this.blockOf(reference);
    const encoding = this.encoding(reference);
    if (encoding === Encoding.Packed) {
      this.packed.verify(block);
      if (this.packed.count(block) % 2 !== 0) throw new Error('hash: a field without a value');
    } else if (encoding === Encoding.Table) {
      this.table.verify(block >> 2);
    } else {
      throw new Error(`hash: encoding ${encoding}`);
    }
  }
}
