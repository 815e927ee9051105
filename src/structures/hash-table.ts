/**
 * The dictionary of a large hash.
 *
 *   record:  | value length (word) | left out (1 bit), field length (31 bits) | field | value |
 */

import type { Arena } from '../memory/arena.js';
import { hashBytes } from '../memory/hash.js';
import type { ShardMemory } from '../memory/shard-memory.js';
import { copyBytes } from './copy.js';
import { MemberTable } from './member-table.js';

const RECORD_HEADER_BYTES = 8;

export class HashTable extends MemberTable {
  constructor(memory: ShardMemory, arena: Arena) {
    super(memory, arena, RECORD_HEADER_BYTES);
  }

  valueLength(record: number): number {
    return this.words[record >> 2];
  }

  valueOffset(record: number): number {
    return this.memberOffset(record) + this.memberLength(record);
  }

  override recordBytes(record: number): number {
    return RECORD_HEADER_BYTES + this.memberLength(record) + this.valueLength(record);
  }

  /** The slot of a field, 0 if there is none. */
  findField(block: number, bytes: Uint8Array, view: DataView, offset: number, lengthBytes: number): number {
    return this.find(block >> 2, hashBytes(view, offset, lengthBytes), bytes, view, offset, lengthBytes);
  }

  /** Adds a field that is not there; false if there is no memory. */
  addField(
    block: number,
    fieldBytes: Uint8Array,
    fieldView: DataView,
    fieldOffset: number,
    fieldLength: number,
    valueBytes: Uint8Array,
    valueView: DataView,
    valueOffset: number,
    valueLength: number,
  ): boolean {
    const record = this.arena.allocate(RECORD_HEADER_BYTES + fieldLength + valueLength);
    if (record === 0) return false;
    const { bytes, view } = this.memory;
    this.words[record >> 2] = valueLength;
    this.words[(record >> 2) + 1] = fieldLength;
    copyBytes(bytes, view, this.memberOffset(record), fieldBytes, fieldView, fieldOffset, fieldLength);
    copyBytes(bytes, view, this.valueOffset(record), valueBytes, valueView, valueOffset, valueLength);
    if (this.insertRecord(block, hashBytes(fieldView, fieldOffset, fieldLength), record)) return true;
    this.arena.free(record, this.recordBytes(record));
    return false;
  }

  /**
   * Gives the field in a slot another value; false, with nothing changed, if there is no memory. The value must not
   * lie in the record.
   */
  setValue(
    block: number,
    slot: number,
    valueBytes: Uint8Array,
    valueView: DataView,
    valueOffset: number,
    valueLength: number,
  ): boolean {
    const { words, arena } = this;
    const { bytes, view } = this.memory;
    let record = words[slot];
    this.keep(block, record);
    if (valueLength !== this.valueLength(record)) {
      const oldBytes = this.recordBytes(record);
      const newBytes = oldBytes - this.valueLength(record) + valueLength;
      if (!arena.resizeInPlace(record, oldBytes, newBytes)) {
        const moved = arena.allocate(newBytes);
        if (moved === 0) return false;
        bytes.copyWithin(moved, record, this.valueOffset(record));
        arena.free(record, oldBytes);
        words[slot] = moved;
        record = moved;
      }
      words[record >> 2] = valueLength;
    }
    copyBytes(bytes, view, this.valueOffset(record), valueBytes, valueView, valueOffset, valueLength);
    return true;
  }
}
