/**
 * Hashes. A hash is a packed list of alternating fields and values while there are few of them and all are short,
 * then a dictionary (hash-table.ts).
 *
 *   Packed           a packed list:  field, value, field, value ...
 *   Table            a dictionary of records
 *
 * Once a field gets an expiry, the hash changes to one of two other forms for good. Hashes without such fields are
 * not affected.
 *
 *   PackedExpiring   a head (expiring-head.ts), and a packed list:  field, value, expiry, field, value, expiry ...
 *   TableExpiring    a dictionary whose records may be in a heap of expiries (expiring-hash-table.ts)
 *
 * An expiry is a time in ms; in a list, 0 means none. The list is sorted by expiry, with the fields that have none at
 * its end, so the field that expires next comes first. Redis calls such a list a listpackex.
 *
 * Methods treat a field that is past its expiry at `nowMs` as absent, but its memory is in use until `removeDue`
 * removes it. (A thread that holds the shard's lock does that first, but only as far as it is quick.)
 *
 * Fields and values are read into `field` and `value`, one pair at a time. A handle names a field of a hash until the
 * hash is changed: it is the field's position (packed list) or a record (dictionary).
 */

import type { Arena } from '../memory/arena.js';
import { blockBytes } from '../memory/arena.js';
import type { ShardMemory } from '../memory/shard-memory.js';
import type { ByteRange } from './byte-range.js';
import { COPIES_OF_SMALL, CollectionValue, Encoding } from './collection-value.js';
import type { ElementView } from './element-view.js';
import { type ElementKeeper, Walk } from './element-walk.js';
import { ExpiringHashTable } from './expiring-hash-table.js';
import { clearHead, ExpiringHead } from './expiring-head.js';
import { HashTable } from './hash-table.js';
import { HashWalk } from './hash-walk.js';
import { KeyedList } from './keyed-list.js';
import { ROOT_BYTES } from './member-table.js';
import { PACKED_LIST_BYTES_MAX, PackedList } from './packed-list.js';
import type { ValueLimits } from './value-limits.js';

export const enum HashSet {
  NoMemory = -1,
  Updated = 0,
  Added = 1,
}

/** Most bytes that a field takes besides its text and its value, in any form, with an expiry. */
const FIELD_OVERHEAD_BYTES = 64;

/** Stands in a packed list for the expiry of a field that has none. */
const NO_EXPIRY = 0;
const HEAD_BYTES = ExpiringHead.WORDS * 4;

/** Most fields that are checked to find out whether all of a large hash have expired. */
const ALL_DUE_LOOKS = 4096;

const tableOf = ExpiringHashTable.tableOf;

function random32(): number {
  return (Math.random() * 0x100000000) | 0;
}

/** A buffer for a copy of a value; grows as needed. */
class RoomyRange {
  bytes = new Uint8Array(64);
  view = new DataView(this.bytes.buffer);
  lengthBytes = 0;

  copy(bytes: Uint8Array, offset: number, lengthBytes: number): void {
    if (lengthBytes > this.bytes.length) {
      this.bytes = new Uint8Array(2 * lengthBytes);
      this.view = new DataView(this.bytes.buffer);
    }
    this.lengthBytes = lengthBytes;
    for (let index = 0; index < lengthBytes; index++) this.bytes[index] = bytes[offset + index];
  }
}

export class HashValue extends CollectionValue {
  /** The list of a Packed. */
  private readonly pairs: KeyedList;
  /** The list of a PackedExpiring. */
  private readonly triples: PackedList;
  private readonly table: HashTable;
  private readonly expiringTable: ExpiringHashTable;
  private readonly walk: HashWalk;
  /** For conversions, which may happen while fields that `walk` has read are being set. */
  private readonly conversionWalk: HashWalk;
  /** Copy of a value that moves within its list. */
  private readonly moving: RoomyRange;

  /** Fields that expire at this time or before are treated as absent. */
  nowMs = 0;

  /** The field and the value that were read last. */
  readonly field: ByteRange;
  readonly value: ByteRange;
  /** The field that `removeDue` is about to remove. */
  readonly dueField: ByteRange;

  constructor(memory: ShardMemory, arena: Arena, limits: ValueLimits) {
    super(memory, arena, limits);
    this.pairs = new KeyedList(memory, arena, 2);
    this.triples = new PackedList(memory, arena);
    this.table = new HashTable(memory, arena);
    this.expiringTable = new ExpiringHashTable(memory, arena);
    this.walk = new HashWalk(memory, arena, this.table, this.expiringTable);
    this.conversionWalk = new HashWalk(memory, arena, this.table, this.expiringTable);
    this.moving = new RoomyRange();
    this.field = this.walk.field;
    this.value = this.walk.value;
    this.dueField = this.conversionWalk.field;
  }

  override memberRoot(reference: number): number {
    return this.encoding(reference) === Encoding.Table ? this.blockOf(reference) >> 2 : 0;
  }

  override create(reference: number): boolean {
    const block = this.pairs.create();
    if (block !== 0) this.setReference(reference, Encoding.Packed, block);
    return block !== 0;
  }

  /**
   * Most bytes to allocate while `elements` fields of `elementBytes` bytes in all are added, including conversions on
   * the way and expiries for all of them. For Arena.promise.
   */
  roomFor(reference: number, elements: number, elementBytes: number): number {
    const block = this.blockOf(reference);
    const addedBytes = elementBytes + elements * FIELD_OVERHEAD_BYTES;
    switch (this.encoding(reference)) {
      case Encoding.Table:
        return (
          addedBytes +
          this.table.growthBytes(block >> 2, elements) +
          ExpiringHashTable.expiryBytes(0, elements)
        );
      case Encoding.TableExpiring: {
        const table = tableOf(block);
        const expiring = this.expiringTable.expiringCount(table);
        return (
          addedBytes +
          this.expiringTable.growthBytes(table >> 2, elements) +
          ExpiringHashTable.expiryBytes(expiring, elements)
        );
      }
      default: {
        const isExpiring = this.isExpiring(reference);
        const list = isExpiring ? this.listOf(block) : block;
        const count = this.heldCount(reference);
        // A packed list is copied again and again as it grows; then all its fields become records of a table.
        const allBytes = this.triples.totalBytes(list) + count * FIELD_OVERHEAD_BYTES + addedBytes;
        return (
          COPIES_OF_SMALL * allBytes +
          allBytes +
          this.table.growthBytes(0, count + elements) +
          ExpiringHashTable.expiryBytes(0, count + elements)
        );
      }
    }
  }

  override count(reference: number): number {
    const block = this.blockOf(reference);
    const encoding = this.encoding(reference);
    if (encoding === Encoding.Packed) return this.pairs.count(block) >> 1;
    if (encoding === Encoding.Table) return this.table.count(block >> 2);
    const count = this.heldCount(reference);
    const next = this.nextExpiry(reference);
    return next < 0 || next > this.nowMs ? count : count - this.dueCount(reference);
  }

  /** Whether there are no fields; false if it takes too long to find out (`isAllDue`). */
  override isEmpty(reference: number): boolean {
    if (!this.isExpiring(reference)) return this.count(reference) === 0;
    return this.heldCount(reference) === 0 || this.isAllDue(reference);
  }

  /** Number of fields, including those past their expiry. */
  heldCount(reference: number): number {
    const block = this.blockOf(reference);
    switch (this.encoding(reference)) {
      case Encoding.Packed:
        return this.pairs.count(block) >> 1;
      case Encoding.PackedExpiring:
        return this.triples.count(this.listOf(block)) / 3;
      case Encoding.Table:
        return this.table.count(block >> 2);
      default:
        return this.expiringTable.count(tableOf(block) >> 2);
    }
  }

  /** The packed list of a PackedExpiring. */
  listOf(block: number): number {
    return this.words[(block >> 2) + ExpiringHead.List];
  }

  private setList(block: number, list: number): void {
    this.words[(block >> 2) + ExpiringHead.List] = list;
  }

  /** The expiry in a packed list of the field at `at`. */
  private listedExpiry(at: number): number {
    const { triples } = this;
    return triples.integerOrNaN(triples.next(triples.next(at)));
  }

  /** Whether a field that expires at `expiresAt` (-1 or NO_EXPIRY: never) is past its expiry. */
  private isPast(expiresAt: number): boolean {
    return expiresAt > 0 && expiresAt <= this.nowMs;
  }

  /** The handle of a field, past its expiry or not, of a hash with expiries; 0 if it is not there. */
  private findHeld(
    reference: number,
    bytes: Uint8Array,
    view: DataView,
    offset: number,
    lengthBytes: number,
  ): number {
    const block = this.blockOf(reference);
    if (this.encoding(reference) === Encoding.PackedExpiring) {
      return this.triples.find(this.triples.first(this.listOf(block)), 2, bytes, view, offset, lengthBytes);
    }
    const slot = this.expiringTable.findField(tableOf(block), bytes, view, offset, lengthBytes);
    return slot === 0 ? 0 : this.words[slot];
  }

  /** The handle of a field, 0 if there is none. */
  find(reference: number, bytes: Uint8Array, view: DataView, offset: number, lengthBytes: number): number {
    const block = this.blockOf(reference);
    const encoding = this.encoding(reference);
    if (encoding === Encoding.Packed) {
      return this.pairs.findKey(block, bytes, view, offset, lengthBytes);
    }
    if (encoding !== Encoding.Table) {
      const handle = this.findHeld(reference, bytes, view, offset, lengthBytes);
      return handle !== 0 && this.isPast(this.expiresAt(reference, handle)) ? 0 : handle;
    }
    const slot = this.table.findField(block, bytes, view, offset, lengthBytes);
    return slot === 0 ? 0 : this.words[slot];
  }

  /**
   * Adds a field or sets its value. If the field has an expiry, it is cleared unless `keepsExpiry`. Field and value may
   * lie in this shard, but not in this hash.
   */
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
    keepsExpiry = false,
  ): HashSet {
    const encoding = this.encoding(reference);
    if (encoding === Encoding.Packed) {
      const { pairs } = this;
      const block = this.blockOf(reference);
      const at = pairs.findKey(block, fieldBytes, fieldView, fieldOffset, fieldLength);
      if (this.fitsPacked(pairs, block, at, fieldLength, valueLength)) {
        const changed =
          at !== 0
            ? pairs.replace(block, pairs.next(at), valueBytes, valueView, valueOffset, valueLength)
            : pairs.appendPair(
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
    } else if (encoding !== Encoding.Table) {
      return this.setWithExpiry(
        reference,
        fieldBytes,
        fieldView,
        fieldOffset,
        fieldLength,
        valueBytes,
        valueView,
        valueOffset,
        valueLength,
        keepsExpiry,
      );
    }
    const { table } = this;
    const block = this.blockOf(reference);
    const slot = table.findField(block, fieldBytes, fieldView, fieldOffset, fieldLength);
    if (slot !== 0) {
      const isSet = table.setValue(block, slot, valueBytes, valueView, valueOffset, valueLength);
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

  /** `set` for a hash with expiries. */
  private setWithExpiry(
    reference: number,
    fieldBytes: Uint8Array,
    fieldView: DataView,
    fieldOffset: number,
    fieldLength: number,
    valueBytes: Uint8Array,
    valueView: DataView,
    valueOffset: number,
    valueLength: number,
    keepsExpiry: boolean,
  ): HashSet {
    const handle = this.findHeld(reference, fieldBytes, fieldView, fieldOffset, fieldLength);
    const expiresAt = handle === 0 ? -1 : this.expiresAt(reference, handle);
    const isPast = this.isPast(expiresAt);
    const result = handle === 0 || isPast ? HashSet.Added : HashSet.Updated;
    const clears = expiresAt >= 0 && (isPast || !keepsExpiry);
    if (this.encoding(reference) === Encoding.PackedExpiring) {
      const { triples } = this;
      const block = this.blockOf(reference);
      const list = this.listOf(block);
      if (this.fitsPacked(triples, list, handle, fieldLength, valueLength, 3)) {
        if (handle !== 0 && !clears) {
          const value = triples.next(handle);
          const changed = triples.replace(list, value, valueBytes, valueView, valueOffset, valueLength);
          if (changed === 0) return HashSet.NoMemory;
          this.setList(block, changed);
          return result;
        }
        const changed = triples.insertTriple(
          list,
          triples.end(list),
          fieldBytes,
          fieldView,
          fieldOffset,
          fieldLength,
          valueBytes,
          valueView,
          valueOffset,
          valueLength,
          NO_EXPIRY,
        );
        if (changed === 0) return HashSet.NoMemory;
        this.setList(block, handle === 0 ? changed : triples.remove(changed, handle - list + changed, 3));
        return result;
      }
      if (!this.convertToTable(reference)) return HashSet.NoMemory;
    }
    const { expiringTable } = this;
    const table = tableOf(this.blockOf(reference));
    const slot = expiringTable.findField(table, fieldBytes, fieldView, fieldOffset, fieldLength);
    if (slot !== 0) {
      const isSet = expiringTable.setValueKeepingExpiry(
        table,
        slot,
        valueBytes,
        valueView,
        valueOffset,
        valueLength,
      );
      if (!isSet) return HashSet.NoMemory;
      if (clears) expiringTable.clearExpiry(table, slot);
      return result;
    }
    const isAdded = expiringTable.addField(
      table,
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
  private fitsPacked(
    packed: PackedList,
    list: number,
    at: number,
    fieldLength: number,
    valueLength: number,
    elementsEach = 2,
  ): boolean {
    const { limits } = this;
    return (
      fieldLength <= limits.hashPackedValueBytes &&
      valueLength <= limits.hashPackedValueBytes &&
      (at !== 0 || packed.count(list) < limits.hashPackedEntries * elementsEach) &&
      packed.totalBytes(list) + fieldLength + valueLength <= PACKED_LIST_BYTES_MAX >> 1
    );
  }

  /** Fields or values of up to `longestBytes` are about to be set: a packed hash that can't take them becomes a table at once. */
  expectLong(reference: number, longestBytes: number): void {
    if (longestBytes <= this.limits.hashPackedValueBytes) return;
    const encoding = this.encoding(reference);
    // If there is no memory, setting them fails.
    if (encoding === Encoding.Packed || encoding === Encoding.PackedExpiring) this.convertToTable(reference);
  }

  /** Converts a Packed to a Table, or a PackedExpiring to a TableExpiring. */
  private convertToTable(reference: number): boolean {
    const encoding = this.encoding(reference);
    const old = this.blockOf(reference);
    const isExpiring = encoding === Encoding.PackedExpiring;
    const count = this.count(reference) + 1;
    const block = isExpiring ? this.expiringTable.create(count) : this.table.create(count);
    if (block === 0) return false;
    this.conversionWalk.begin(encoding, old, 0);
    if (isExpiring) {
      if (!this.fillExpiringTable(block, this.conversionWalk, this, reference)) return false;
      this.words.copyWithin(block >> 2, old >> 2, (old >> 2) + ExpiringHead.WORDS);
      this.words[(block >> 2) + ExpiringHead.List] = 0;
    } else if (!this.fillTable(block, this.conversionWalk)) {
      return false;
    }
    this.release(reference);
    this.setReference(reference, isExpiring ? Encoding.TableExpiring : Encoding.Table, block);
    return true;
  }

  /** Like `fillTable`, but sets the expiries, too. The walk is over a hash of `source`. */
  private fillExpiringTable(block: number, walk: HashWalk, source: this, sourceReference: number): boolean {
    const { expiringTable } = this;
    const { field, value } = walk;
    const table = tableOf(block);
    while (walk.next()) {
      const expiresAt = source.expiresAt(sourceReference, walk.handle);
      const isAdded =
        expiringTable.addField(
          table,
          field.bytes,
          field.view,
          field.offset,
          field.lengthBytes,
          value.bytes,
          value.view,
          value.offset,
          value.lengthBytes,
        ) &&
        (expiresAt < 0 ||
          expiringTable.setExpiry(
            table,
            expiringTable.findField(table, field.bytes, field.view, field.offset, field.lengthBytes),
            expiresAt,
          ));
      if (isAdded) continue;
      expiringTable.release(table);
      return false;
    }
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
    const { pairs, table } = this;
    const block = this.blockOf(reference);
    const encoding = this.encoding(reference);
    if (encoding === Encoding.Packed) {
      const at = pairs.findKey(block, bytes, view, offset, lengthBytes);
      if (at === 0) return false;
      this.setReference(reference, Encoding.Packed, pairs.removeKey(block, at));
      return true;
    }
    if (encoding !== Encoding.Table) {
      const handle = this.find(reference, bytes, view, offset, lengthBytes);
      if (handle !== 0) this.removeHandle(reference, handle);
      return handle !== 0;
    }
    const slot = table.findField(block, bytes, view, offset, lengthBytes);
    if (slot === 0) return false;
    table.eraseRecord(block, table.hashOf(this.words[slot]), slot);
    return true;
  }

  /** Removes a field of a hash with expiries. */
  private removeHandle(reference: number, handle: number): void {
    const block = this.blockOf(reference);
    if (this.encoding(reference) === Encoding.PackedExpiring) {
      this.setList(block, this.triples.remove(this.listOf(block), handle, 3));
      return;
    }
    const { expiringTable } = this;
    const table = tableOf(block);
    const hash = expiringTable.hashOf(handle);
    expiringTable.eraseRecord(table, hash, expiringTable.slotOf(table >> 2, hash, handle));
  }

  /** A handle drawn uniformly from a hash that is not empty. */
  randomHandle(reference: number): number {
    const { pairs, triples } = this;
    const block = this.blockOf(reference);
    const encoding = this.encoding(reference);
    if (encoding === Encoding.Packed) {
      return pairs.seek(block, 2 * Math.floor(Math.random() * (pairs.count(block) >> 1)));
    }
    if (encoding === Encoding.Table) return this.table.random(block >> 2, random32());
    if (encoding === Encoding.PackedExpiring) {
      // Fields past their expiry come first.
      const held = this.heldCount(reference);
      const count = this.count(reference);
      return triples.seek(this.listOf(block), 3 * (held - count + Math.floor(Math.random() * count)));
    }
    const root = tableOf(block) >> 2;
    let handle: number;
    do handle = this.expiringTable.random(root, random32());
    while (this.isPast(this.expiresAt(reference, handle)));
    return handle;
  }

  /** When the field that a handle names expires, -1 for never. */
  expiresAt(reference: number, handle: number): number {
    switch (this.encoding(reference)) {
      case Encoding.PackedExpiring: {
        const expiresAt = this.listedExpiry(handle);
        return expiresAt === NO_EXPIRY ? -1 : expiresAt;
      }
      case Encoding.TableExpiring:
        return this.expiringTable.expiresAt(tableOf(this.blockOf(reference)), handle);
      default:
        return -1;
    }
  }

  /** The earliest expiry of a field, past or to come; -1 if none expires. */
  nextExpiry(reference: number): number {
    const block = this.blockOf(reference);
    switch (this.encoding(reference)) {
      case Encoding.PackedExpiring: {
        const first = this.triples.first(this.listOf(block));
        const expiresAt = first === 0 ? NO_EXPIRY : this.listedExpiry(first);
        return expiresAt === NO_EXPIRY ? -1 : expiresAt;
      }
      case Encoding.TableExpiring:
        return this.expiringTable.nextExpiry(tableOf(block));
      default:
        return -1;
    }
  }

  /** Whether the hash is in one of the two forms that fields with an expiry need. */
  isExpiring(reference: number): boolean {
    return this.encoding(reference) >= Encoding.PackedExpiring;
  }

  /** Converts a hash to a form in which fields can expire; false, with nothing changed, if there is no memory. */
  makeExpiring(reference: number): boolean {
    const block = this.blockOf(reference);
    const encoding = this.encoding(reference);
    if (encoding >= Encoding.PackedExpiring) return true;
    if (encoding === Encoding.Table) {
      const changed = this.expiringTable.takeOver(block);
      if (changed === 0) return false;
      this.setReference(reference, Encoding.TableExpiring, changed);
      const walk = this.walkOf(reference);
      if (walk !== 0) this.keeper?.moved(walk, reference);
      return true;
    }
    const head = this.arena.allocate(HEAD_BYTES);
    if (head === 0) return false;
    const list = this.tripledList(block);
    if (list === 0) {
      this.arena.free(head, HEAD_BYTES);
      return false;
    }
    clearHead(this.words, head >> 2);
    this.setList(head, list);
    this.pairs.release(block);
    this.setReference(reference, Encoding.PackedExpiring, head);
    return true;
  }

  /** A new list for a PackedExpiring, with the fields of a Packed and without expiries; 0 if there is no memory. */
  private tripledList(block: number): number {
    const { triples, conversionWalk } = this;
    const { field, value } = conversionWalk;
    let list = triples.create();
    conversionWalk.begin(Encoding.Packed, block, 0);
    while (list !== 0 && conversionWalk.next()) {
      const longer = triples.insertTriple(
        list,
        triples.end(list),
        field.bytes,
        field.view,
        field.offset,
        field.lengthBytes,
        value.bytes,
        value.view,
        value.offset,
        value.lengthBytes,
        NO_EXPIRY,
      );
      if (longer === 0) triples.release(list);
      list = longer;
    }
    return list;
  }

  /**
   * Sets when a field that is there expires; -1 for never. The hash must be in a form for that (`makeExpiring`). False,
   * with nothing changed, if there is no memory. The field may lie in this shard, but not in this hash.
   */
  setExpiry(
    reference: number,
    bytes: Uint8Array,
    view: DataView,
    offset: number,
    lengthBytes: number,
    expiresAt: number,
  ): boolean {
    const block = this.blockOf(reference);
    if (this.encoding(reference) === Encoding.TableExpiring) {
      const { expiringTable } = this;
      const table = tableOf(block);
      const slot = expiringTable.findField(table, bytes, view, offset, lengthBytes);
      if (expiresAt >= 0) return expiringTable.setExpiry(table, slot, expiresAt);
      expiringTable.clearExpiry(table, slot);
      return true;
    }
    const { triples, moving } = this;
    const list = this.listOf(block);
    const at = triples.find(triples.first(list), 2, bytes, view, offset, lengthBytes);
    const expiry = expiresAt < 0 ? NO_EXPIRY : expiresAt;
    if (this.listedExpiry(at) === expiry) return true;
    triples.read(triples.next(at));
    moving.copy(triples.bytes, triples.offset, triples.lengthBytes);
    const target = this.placeOf(list, expiry);
    const totalBytes = triples.totalBytes(list);
    const changed = triples.insertTriple(
      list,
      target,
      bytes,
      view,
      offset,
      lengthBytes,
      moving.bytes,
      moving.view,
      0,
      moving.lengthBytes,
      expiry,
    );
    if (changed === 0) return false;
    const shift = target <= at ? triples.totalBytes(changed) - totalBytes : 0;
    this.setList(block, triples.remove(changed, at - list + changed + shift, 3));
    return true;
  }

  /** Where in a list a field with this expiry belongs: behind all that do not expire later. */
  private placeOf(list: number, expiry: number): number {
    const { triples } = this;
    const end = triples.end(list);
    if (expiry === NO_EXPIRY) return end;
    for (let at = triples.first(list); at !== 0; ) {
      const expiryAt = triples.next(triples.next(at));
      const other = triples.integerOrNaN(expiryAt);
      if (other === NO_EXPIRY || other > expiry) return at;
      at = triples.next(expiryAt);
    }
    return end;
  }

  /** How many fields are past their expiry. */
  dueCount(reference: number): number {
    const block = this.blockOf(reference);
    switch (this.encoding(reference)) {
      case Encoding.PackedExpiring: {
        const { triples } = this;
        let due = 0;
        for (let at = triples.first(this.listOf(block)); at !== 0; due++) {
          const expiryAt = triples.next(triples.next(at));
          if (!this.isPast(triples.integerOrNaN(expiryAt))) break;
          at = triples.next(expiryAt);
        }
        return due;
      }
      case Encoding.TableExpiring:
        return this.expiringTable.countDue(tableOf(block), this.nowMs);
      default:
        return 0;
    }
  }

  /** Whether all fields are past their expiry. May be false for a very large hash although they are. */
  isAllDue(reference: number): boolean {
    const next = this.nextExpiry(reference);
    if (next < 0 || next > this.nowMs) return this.heldCount(reference) === 0;
    if (this.encoding(reference) === Encoding.TableExpiring) {
      return this.expiringTable.allDue(tableOf(this.blockOf(reference)), this.nowMs, ALL_DUE_LOOKS);
    }
    return this.heldCount(reference) === this.dueCount(reference);
  }

  /**
   * Removes fields that are past their expiry, at most `limit` of a large hash; returns how many. Before each,
   * `visit` is called while `dueField` names it.
   */
  removeDue(reference: number, limit: number, visit: (() => void) | null): number {
    const block = this.blockOf(reference);
    const { conversionWalk } = this;
    if (this.encoding(reference) === Encoding.TableExpiring) {
      const table = tableOf(block);
      let removed = 0;
      for (; removed < limit && this.isPast(this.expiringTable.nextExpiry(table)); removed++) {
        const record = this.expiringTable.nextRecord(table);
        if (visit !== null) {
          conversionWalk.read(Encoding.TableExpiring, record);
          visit();
        }
        this.removeHandle(reference, record);
      }
      return removed;
    }
    const due = this.dueCount(reference);
    if (due === 0) return 0;
    if (visit !== null) {
      conversionWalk.begin(Encoding.PackedExpiring, block, 0);
      for (let left = due; left > 0; left--) {
        conversionWalk.next();
        visit();
      }
    }
    const list = this.listOf(block);
    this.setList(block, this.triples.remove(list, this.triples.first(list), 3 * due));
    return due;
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
   * Begins a walk over all fields. Until it ends, lookups in all hashes of this shard and changes of other hashes
   * are allowed, but no change of this one. Only one walk at a time.
   */
  begin(reference: number): void {
    this.walk.begin(this.encoding(reference), this.blockOf(reference), this.nowMs);
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
    return this.walk.beginStep(this.encoding(reference), this.blockOf(reference), cursor, this.nowMs);
  }

  override setKeeper(keeper: ElementKeeper): void {
    super.setKeeper(keeper);
    this.table.keeper = keeper;
    this.expiringTable.keeper = keeper;
  }

  /** The table of a hash in a dictionary, whose methods take `tableBlock`; null for a packed hash. */
  private tableFor(reference: number): HashTable | null {
    switch (this.encoding(reference)) {
      case Encoding.Table:
        return this.table;
      case Encoding.TableExpiring:
        return this.expiringTable;
      default:
        return null;
    }
  }

  private tableBlock(reference: number): number {
    const block = this.blockOf(reference);
    return this.encoding(reference) === Encoding.Table ? block : tableOf(block);
  }

  /** Includes fields past their expiry. */
  override walkSteps(reference: number): number {
    return this.tableFor(reference) === null ? 0 : this.heldCount(reference);
  }

  override walkOf(reference: number): number {
    return this.tableFor(reference)?.walkOf(this.tableBlock(reference)) ?? 0;
  }

  override beginWalk(reference: number, walk: number): boolean {
    this.words[walk + Walk.Position] = 0;
    this.tableFor(reference)?.setWalk(this.tableBlock(reference), walk);
    return true;
  }

  override stepWalk(reference: number, steps: number): boolean {
    const table = this.tableFor(reference);
    return table !== null && this.stepTable(table, this.tableBlock(reference), steps);
  }

  /** Reads a record of a large hash. */
  viewRecord(reference: number, record: number, view: ElementView): void {
    const isExpiring = this.encoding(reference) === Encoding.TableExpiring;
    const table = isExpiring ? this.expiringTable : this.table;
    view.offset = table.memberOffset(record);
    view.lengthBytes = table.memberLength(record);
    view.valueOffset = table.valueOffset(record);
    view.valueLength = table.valueLength(record);
    view.expiresAt = isExpiring ? this.expiringTable.expiresAt(tableOf(this.blockOf(reference)), record) : -1;
  }

  override endWalk(reference: number): void {
    this.tableFor(reference)?.setWalk(this.tableBlock(reference), 0);
  }

  override releaseSteps(reference: number): number {
    const encoding = this.encoding(reference);
    return encoding === Encoding.Table || encoding === Encoding.TableExpiring ? this.heldCount(reference) : 1;
  }

  override releaseSome(reference: number, steps: number): boolean {
    const block = this.blockOf(reference);
    switch (this.encoding(reference)) {
      case Encoding.Table:
        return this.table.releaseSome(block, steps);
      case Encoding.TableExpiring:
        return this.expiringTable.releaseSome(tableOf(block), steps);
      case Encoding.PackedExpiring:
        this.triples.release(this.listOf(block));
        this.arena.free(block, HEAD_BYTES);
        return true;
      default:
        this.pairs.release(block);
        return true;
    }
  }

  /** The copy keeps the expiries but is not yet in a calendar. */
  override copy(reference: number, source: this, sourceReference: number): boolean {
    const encoding = source.encoding(sourceReference);
    let block: number;
    switch (encoding) {
      case Encoding.Packed:
        block = this.pairs.copy(source.pairs, source.blockOf(sourceReference));
        break;
      case Encoding.PackedExpiring:
        block = this.copyPackedExpiring(source, source.blockOf(sourceReference));
        break;
      case Encoding.Table:
        block = this.table.create(source.count(sourceReference));
        source.begin(sourceReference);
        if (block !== 0 && !this.fillTable(block, source.walk)) return false;
        break;
      default:
        block = this.expiringTable.create(source.count(sourceReference));
        source.begin(sourceReference);
        if (block !== 0 && !this.fillExpiringTable(block, source.walk, source, sourceReference)) return false;
    }
    if (block !== 0) this.setReference(reference, encoding, block);
    return block !== 0;
  }

  private copyPackedExpiring(source: this, sourceBlock: number): number {
    const block = this.arena.allocate(HEAD_BYTES);
    if (block === 0) return 0;
    const list = this.triples.copy(source.triples, source.listOf(sourceBlock));
    if (list === 0) {
      this.arena.free(block, HEAD_BYTES);
      return 0;
    }
    clearHead(this.words, block >> 2);
    this.setList(block, list);
    return block;
  }

  override usedBytes(reference: number, samples: number): number {
    const { walk, pairs, triples } = this;
    const block = this.blockOf(reference);
    const encoding = this.encoding(reference);
    if (encoding === Encoding.Packed) return blockBytes(pairs.blockBytes(block));
    if (encoding === Encoding.PackedExpiring) {
      return blockBytes(HEAD_BYTES) + blockBytes(triples.blockBytes(this.listOf(block)));
    }
    const isExpiring = encoding === Encoding.TableExpiring;
    const table = isExpiring ? this.expiringTable : this.table;
    const root = (isExpiring ? tableOf(block) : block) >> 2;
    const count = table.count(root);
    const wanted = samples === 0 ? count : Math.min(samples, count);
    let sampled = 0;
    let sampledBytes = 0;
    for (walk.begin(encoding, block, 0); sampled < wanted && walk.next(); sampled++) {
      sampledBytes += blockBytes(table.recordBytes(walk.handle));
    }
    const recordBytes = sampled === 0 ? 0 : Math.round((sampledBytes / sampled) * count);
    const otherBytes = isExpiring ? this.expiringTable.otherBytes(root << 2) : blockBytes(ROOT_BYTES);
    return otherBytes + table.tableBytes(root) + recordBytes;
  }

  override verify(reference: number): void {
    const block = this.blockOf(reference);
    const encoding = this.encoding(reference);
    if (encoding === Encoding.Packed) {
      this.pairs.verify(block);
      if (this.pairs.count(block) % 2 !== 0) throw new Error('hash: a field without a value');
    } else if (encoding === Encoding.Table) {
      this.table.verify(block >> 2);
    } else if (encoding === Encoding.PackedExpiring) {
      this.verifyList(this.listOf(block));
    } else if (encoding === Encoding.TableExpiring) {
      this.expiringTable.verifyExpiries(tableOf(block));
    } else {
      throw new Error(`hash: encoding ${encoding}`);
    }
  }

  private verifyList(list: number): void {
    const { triples } = this;
    triples.verify(list);
    if (triples.count(list) % 3 !== 0) throw new Error('hash: a field without a value or an expiry');
    let before = 0;
    for (let at = triples.first(list); at !== 0; at = triples.next(triples.next(triples.next(at)))) {
      const expiry = this.listedExpiry(at);
      if (Number.isNaN(expiry) || expiry < 0) throw new Error('hash: an expiry is no time');
      const order = expiry === NO_EXPIRY ? Number.POSITIVE_INFINITY : expiry;
      if (order < before) throw new Error('hash: fields are not in the order of their expiries');
      before = order;
    }
  }
}
