/** A walk over the fields of a hash: one position, and the field and value read there. */

import type { Arena } from '../memory/arena.js';
import type { ShardMemory } from '../memory/shard-memory.js';
import { ByteRange } from './byte-range.js';
import { Encoding } from './collection-value.js';
import type { HashTable } from './hash-table.js';
import { PackedList } from './packed-list.js';

export class HashWalk {
  private readonly memory: ShardMemory;
  // Two readers: each holds the text of the integer that it has read last.
  private readonly packedField: PackedList;
  private readonly packedValue: PackedList;
  private readonly table: HashTable;

  /** The field and the value that were read last. */
  readonly field: ByteRange;
  readonly value: ByteRange;
  /** The handle of the field that `next` has read. */
  handle = 0;

  private encoding: Encoding = Encoding.Packed;
  private block = 0;
  /** Position, or index among the scanned records, of the field that `next` reads. */
  private at = 0;
  private cursor = 0;

  constructor(memory: ShardMemory, arena: Arena, table: HashTable) {
    this.memory = memory;
    this.packedField = new PackedList(memory, arena);
    this.packedValue = new PackedList(memory, arena);
    this.table = table;
    this.field = new ByteRange(memory.bytes, memory.view);
    this.value = new ByteRange(memory.bytes, memory.view);
  }

  /** Begins a walk over all fields. */
  begin(encoding: Encoding, block: number): void {
    this.cursor = this.beginStep(encoding, block, 0);
  }

  /** Begins a walk over the fields at a scan's cursor; returns the next cursor, 0 at the end. */
  beginStep(encoding: Encoding, block: number, cursor: number): number {
    this.encoding = encoding;
    this.block = block;
    this.at = encoding === Encoding.Packed ? this.packedField.first(block) : 0;
    this.cursor = 0;
    return encoding === Encoding.Table ? this.table.scan(block >> 2, cursor) : 0;
  }

  /** Reads the next field and its value; false at the end. */
  next(): boolean {
    if (this.encoding === Encoding.Packed) {
      if (this.at === 0) return false;
      this.handle = this.at;
      const { packedField, packedValue } = this;
      this.at = packedValue.readOn(packedField.readOn(this.at));
      this.field.set(packedField.bytes, packedField.view, packedField.offset, packedField.lengthBytes);
      this.value.set(packedValue.bytes, packedValue.view, packedValue.offset, packedValue.lengthBytes);
      return true;
    }
    const { table } = this;
    while (this.at === table.scannedCount) {
      if (this.cursor === 0) return false;
      this.cursor = table.scan(this.block >> 2, this.cursor);
      this.at = 0;
    }
    this.handle = table.scanned[this.at++];
    this.read(this.encoding, this.handle);
    return true;
  }

  /** Reads the field that a handle names, and its value. */
  read(encoding: Encoding, handle: number): void {
    this.readValue(encoding, handle);
    const { field, memory, table, packedField } = this;
    if (encoding === Encoding.Packed) {
      packedField.read(handle);
      field.set(packedField.bytes, packedField.view, packedField.offset, packedField.lengthBytes);
    } else {
      field.set(memory.bytes, memory.view, table.memberOffset(handle), table.memberLength(handle));
    }
  }

  /** Reads the value of the field that a handle names. */
  readValue(encoding: Encoding, handle: number): void {
    const { value, memory, table, packedValue } = this;
    if (encoding === Encoding.Packed) {
      packedValue.read(packedValue.next(handle));
      value.set(packedValue.bytes, packedValue.view, packedValue.offset, packedValue.lengthBytes);
    } else {
      value.set(memory.bytes, memory.view, table.valueOffset(handle), table.valueLength(handle));
    }
  }
}
