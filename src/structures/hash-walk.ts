/** A walk over the fields of a hash: one position, and the field and value read there. */

import type { Arena } from '../memory/arena.js';
import type { ShardMemory } from '../memory/shard-memory.js';
import { ByteRange } from './byte-range.js';
import { Encoding } from './collection-value.js';
import { TablePosition } from './dictionary.js';
import { ExpiringHashTable } from './expiring-hash-table.js';
import { ExpiringHead } from './expiring-head.js';
import type { HashTable } from './hash-table.js';
import { PackedList } from './packed-list.js';

export class HashWalk {
  private readonly memory: ShardMemory;
  private readonly words: Int32Array;
  // Two readers, since each holds only the text of the integer that it has read last.
  private readonly packedField: PackedList;
  private readonly packedValue: PackedList;
  private readonly plainTable: HashTable;
  private readonly expiringTable: ExpiringHashTable;

  /** The field and the value that were read last. */
  readonly field: ByteRange;
  readonly value: ByteRange;
  /** The handle of the field that `next` has read. */
  handle = 0;

  private encoding: Encoding = Encoding.Packed;
  /** The table that is walked over, and its root. */
  private table: HashTable;
  private root = 0;
  /** Position, or index among the scanned records, of the field that `next` reads. */
  private at = 0;
  /** Position in the table of a walk over all fields. */
  private readonly position = new TablePosition();
  /** Whether the walk is one step of a scan. */
  private isStep = false;
  /** Fields that expire at this time or before are skipped; 0: none. */
  private hiddenUntilMs = 0;

  constructor(memory: ShardMemory, arena: Arena, table: HashTable, expiringTable: ExpiringHashTable) {
    this.memory = memory;
    this.words = memory.words;
    this.packedField = new PackedList(memory, arena);
    this.packedValue = new PackedList(memory, arena);
    this.plainTable = table;
    this.table = table;
    this.expiringTable = expiringTable;
    this.field = new ByteRange(memory.bytes, memory.view);
    this.value = new ByteRange(memory.bytes, memory.view);
  }

  /**
   * Begins a walk over all fields that are not past their expiry at `nowMs`. During the walk the hash must not change,
   * and no other hash in a table may be walked over: the records that a step has read are in a shared buffer.
   */
  begin(encoding: Encoding, block: number, nowMs: number): void {
    this.isStep = false;
    if (!this.beginAt(encoding, block, nowMs)) return;
    this.position.toStart();
    this.table.scannedCount = 0;
  }

  /** Begins a walk over the fields at a scan's cursor; returns the next cursor, 0 at the end. */
  beginStep(encoding: Encoding, block: number, cursor: number, nowMs: number): number {
    this.isStep = true;
    return this.beginAt(encoding, block, nowMs) ? this.table.scan(this.root, cursor) : 0;
  }

  /** Returns whether the fields are in a table. */
  private beginAt(encoding: Encoding, block: number, nowMs: number): boolean {
    this.encoding = encoding;
    this.at = 0;
    this.hiddenUntilMs = 0;
    switch (encoding) {
      case Encoding.Packed:
        this.at = this.packedField.first(block);
        return false;
      case Encoding.Table:
        this.table = this.plainTable;
        this.root = block >> 2;
        return true;
      case Encoding.PackedExpiring:
        this.at = this.firstAfter(this.words[(block >> 2) + ExpiringHead.List], nowMs);
        return false;
      default: {
        const table = ExpiringHashTable.tableOf(block);
        this.table = this.expiringTable;
        this.root = table >> 2;
        const next = this.expiringTable.nextExpiry(table);
        if (next >= 0 && next <= nowMs) this.hiddenUntilMs = nowMs;
        return true;
      }
    }
  }

  /** The first field of a list (sorted by expiry) that is not past its expiry at `nowMs`; 0 if there is none. */
  private firstAfter(list: number, nowMs: number): number {
    const { packedField } = this;
    let at = packedField.first(list);
    while (at !== 0) {
      const expiryAt = packedField.next(packedField.next(at));
      const expiresAt = packedField.integerOrNaN(expiryAt);
      if (expiresAt === 0 || expiresAt > nowMs) break;
      at = packedField.next(expiryAt);
    }
    return at;
  }

  /** Reads the next field and its value; false at the end. */
  next(): boolean {
    const { encoding } = this;
    if (encoding === Encoding.Packed || encoding === Encoding.PackedExpiring) {
      if (this.at === 0) return false;
      this.handle = this.at;
      const { packedField, packedValue } = this;
      this.at = packedValue.readOn(packedField.readOn(this.at));
      if (encoding === Encoding.PackedExpiring) this.at = packedField.next(this.at);
      this.field.set(packedField.bytes, packedField.view, packedField.offset, packedField.lengthBytes);
      this.value.set(packedValue.bytes, packedValue.view, packedValue.offset, packedValue.lengthBytes);
      return true;
    }
    const { table } = this;
    do {
      while (this.at === table.scannedCount) {
        if (this.isStep || !table.readLine(this.root, this.position)) return false;
        this.at = 0;
      }
      this.handle = table.scanned[this.at++];
    } while (this.hiddenUntilMs !== 0 && this.isHidden(this.handle));
    this.read(encoding, this.handle);
    return true;
  }

  private isHidden(record: number): boolean {
    const expiresAt = this.expiringTable.expiresAt(this.root << 2, record);
    return expiresAt >= 0 && expiresAt <= this.hiddenUntilMs;
  }

  /** Reads the field that a handle names, and its value. */
  read(encoding: Encoding, handle: number): void {
    this.readValue(encoding, handle);
    const { field, memory, packedField } = this;
    if (encoding === Encoding.Packed || encoding === Encoding.PackedExpiring) {
      packedField.read(handle);
      field.set(packedField.bytes, packedField.view, packedField.offset, packedField.lengthBytes);
    } else {
      const { plainTable } = this;
      field.set(memory.bytes, memory.view, plainTable.memberOffset(handle), plainTable.memberLength(handle));
    }
  }

  /** Reads the value of the field that a handle names. */
  readValue(encoding: Encoding, handle: number): void {
    const { value, memory, packedValue } = this;
    if (encoding === Encoding.Packed || encoding === Encoding.PackedExpiring) {
      packedValue.read(packedValue.next(handle));
      value.set(packedValue.bytes, packedValue.view, packedValue.offset, packedValue.lengthBytes);
    } else if (encoding === Encoding.Table) {
      const { plainTable } = this;
      value.set(memory.bytes, memory.view, plainTable.valueOffset(handle), plainTable.valueLength(handle));
    } else {
      const { expiringTable } = this;
      value.set(
        memory.bytes,
        memory.view,
        expiringTable.valueOffset(handle),
        expiringTable.valueLength(handle),
      );
    }
  }
}
