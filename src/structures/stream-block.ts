/**
 * Blocks of stream entries. A block holds what Redis keeps in one listpack: as many entries as
 * `stream-node-max-bytes` and `stream-node-max-entries` allow, with the fields of the first one as the master, which
 * others with the same fields need not repeat. So whole blocks are trimmed where Redis trims whole nodes, and files
 * have the same listpacks. But a block takes less memory than the listpack.
 *
 *   block                                        with the capacity, one bit: left out
 *   +--------------+----------+-----+------+---------+----------+--------+---------+------+--------+---------+-------+
 *   | id of the    | capacity | end | live | deleted | listpack | fields | entries | last | fields | entries | slack |
 *   | first entry  |          |     |      |         | bytes    |        |         |      |        |         |       |
 *   +--------------+----------+-----+------+---------+----------+--------+---------+------+--------+---------+-------+
 *   0              16         20    24     28        32         36       40        44     48       entries   end
 *
 * `entries`, `last` and `end` are offsets from the block's start: of the first entry, the last one and its end.
 * `listpack bytes` are those of the listpack that Redis would have. Fields and values are elements (packed-element.ts).
 *
 *   entry:  | length of the rest | flags | milliseconds | sequence | number of fields | fields, each before its value |
 *
 * Milliseconds and sequence are differences to the first entry's id. Numbers have 7 bits a byte, least significant
 * first (LEB128); the sequence's difference may be negative, so its sign is in the lowest bit. It is omitted if it is
 * 0; fields and their number are omitted if they are the master's. A deleted entry stays where it is, as in Redis,
 * until the whole block is removed.
 */

import { type Arena, blockBytes } from '../memory/arena.js';
import type { ShardMemory } from '../memory/shard-memory.js';
import { equalBytes } from './copy.js';
import {
  backLengthBytes,
  ElementForm,
  ElementReader,
  elementBytesAt,
  integerElementBytes,
} from './packed-element.js';
import { compareUint64, type StreamId } from './stream-id.js';

/** Words of a block's header. */
export const enum Block {
  // The four words of the first entry's id come first.
  Capacity = 4,
  End = 5,
  Live = 6,
  Deleted = 7,
  ListpackBytes = 8,
  Fields = 9,
  Entries = 10,
  Last = 11,
  WORDS = 12,
}

export const BLOCK_HEADER_BYTES = Block.WORDS * 4;

/** A bit in the word of the capacity, a multiple of 8: the current walk must leave the block out. */
const LEFT_OUT_BIT = 1;

export const enum EntryFlag {
  // The first two are those of Redis's listpacks.
  Deleted = 1,
  SameFields = 2,
  SameSequence = 4,
}

/** What fields and values of one entry may take in all. */
export const ENTRY_TEXT_BYTES_MAX = 1 << 30;

/** A block that has become full doubles its capacity, but adds at most this much. */
const GROWTH_BYTES_MAX = 2048;
/** Room of a new block beyond the length of the one before. */
const SLACK_BYTES = 64;

/** What a listpack has before its first element and behind its last one. */
const LISTPACK_FRAME_BYTES = 7;

/** Bytes of a number in groups of 7 bits. */
export function varintBytes(high: number, low: number): number {
  if (high === 0) {
    if (low >>> 0 < 1 << 7) return 1;
    if (low >>> 0 < 1 << 14) return 2;
    if (low >>> 0 < 1 << 21) return 3;
    return low >>> 0 < 1 << 28 ? 4 : 5;
  }
  return Math.ceil((64 - Math.clz32(high)) / 7);
}

/** Bytes that an integer takes in a listpack. */
function listpackIntegerBytes(high: number, low: number): number {
  return integerElementBytes(high, low) + 1;
}

/** The bytes that an element of a text takes at most: as a string. */
function stringElementBytes(lengthBytes: number): number {
  return lengthBytes + (lengthBytes <= 63 ? 1 : lengthBytes <= 4095 ? 2 : 5);
}

/** An entry that was read: its id, and where its fields and values are. */
export class StreamEntry {
  block = 0;
  /** Where the entry begins and ends. */
  at = 0;
  end = 0;
  msHigh = 0;
  msLow = 0;
  seqHigh = 0;
  seqLow = 0;
  isDeleted = false;
  fieldCount = 0;
  /** Where the first field is; with the master's fields, in the block's header. */
  fieldsAt = 0;
  hasMasterFields = false;
  /** Where the first value is, or the first field if the entry has its own. */
  valuesAt = 0;

  /** Order of the entry's id and another one: below, equal to or above 0. */
  compareId(id: StreamId): number {
    return (
      compareUint64(this.msHigh, this.msLow, id.msHigh, id.msLow) ||
      compareUint64(this.seqHigh, this.seqLow, id.seqHigh, id.seqLow)
    );
  }

  copyIdTo(id: StreamId): void {
    id.set(this.msHigh, this.msLow, this.seqHigh, this.seqLow);
  }
}

export class StreamBlocks {
  private readonly arena: Arena;
  private readonly words: Int32Array;
  private readonly bytes: Uint8Array;
  private readonly view: DataView;
  private readonly form = new ElementForm();
  private readonly reader: ElementReader;
  private readonly entry = new StreamEntry();

  // The entry that is to be added: fields and values in turn, `2 * fieldCount` pairs [offset, length] from pair
  // `first` on.
  private argBytes: Uint8Array;
  private argView: DataView;
  private pairs: Int32Array = new Int32Array(0);
  private first = 0;
  private fieldCount = 0;
  /** Bytes of the texts of the entry that is to be added. */
  textBytes = 0;
  /** The most bytes that the entry can take behind its length, as `entryBytesMax` has worked out. */
  private restBytesMax = 0;

  // The number that `readNumber` has read.
  private high = 0;
  private low = 0;
  /** Bytes that elements written last would take in a listpack. */
  private writtenListpackBytes = 0;

  constructor(memory: ShardMemory, arena: Arena) {
    this.arena = arena;
    this.words = memory.words;
    this.bytes = memory.bytes;
    this.view = memory.view;
    this.reader = new ElementReader(memory);
    this.argBytes = memory.bytes;
    this.argView = memory.view;
  }

  /** Entries that are not deleted. */
  live(block: number): number {
    return this.words[(block >> 2) + Block.Live];
  }

  deleted(block: number): number {
    return this.words[(block >> 2) + Block.Deleted];
  }

  /** Bytes of the listpack that Redis would have. */
  listpackBytes(block: number): number {
    return this.words[(block >> 2) + Block.ListpackBytes];
  }

  /** Position of the first entry. */
  entries(block: number): number {
    return block + this.words[(block >> 2) + Block.Entries];
  }

  /** Position of the last entry, which may be deleted. */
  lastEntry(block: number): number {
    return block + this.words[(block >> 2) + Block.Last];
  }

  /** Position behind the last entry. */
  end(block: number): number {
    return block + this.words[(block >> 2) + Block.End];
  }

  /** Bytes that the block takes of the arena. */
  blockBytes(block: number): number {
    return blockBytes(this.capacityOf(block));
  }

  private capacityOf(block: number): number {
    return this.words[(block >> 2) + Block.Capacity] & ~LEFT_OUT_BIT;
  }

  private setCapacity(block: number, capacity: number): void {
    const at = (block >> 2) + Block.Capacity;
    this.words[at] = capacity | (this.words[at] & LEFT_OUT_BIT);
  }

  isLeftOut(block: number): boolean {
    return (this.words[(block >> 2) + Block.Capacity] & LEFT_OUT_BIT) !== 0;
  }

  setLeftOut(block: number, isLeftOut: boolean): void {
    const at = (block >> 2) + Block.Capacity;
    this.words[at] = isLeftOut ? this.words[at] | LEFT_OUT_BIT : this.words[at] & ~LEFT_OUT_BIT;
  }

  free(block: number): void {
    this.arena.free(block, this.capacityOf(block));
  }

  /** A copy of a block, of this shard or of another, without slack; 0 if there is no memory. */
  copy(source: this, sourceBlock: number): number {
    const used = (source.words[(sourceBlock >> 2) + Block.End] + 7) & ~7;
    const block = this.arena.allocate(used);
    if (block === 0) return 0;
    this.words.set(source.words.subarray(sourceBlock >> 2, (sourceBlock + used) >> 2), block >> 2);
    this.words[(block >> 2) + Block.Capacity] = used;
    return block;
  }

  /** Frees the unused end of a block, if it will not grow any more. */
  shrink(block: number): void {
    const used = (this.words[(block >> 2) + Block.End] + 7) & ~7;
    const capacity = this.capacityOf(block);
    if (used === capacity || !this.arena.resizeInPlace(block, capacity, used)) return;
    this.setCapacity(block, used);
  }

  /**
   * Sets the entry that is to be added: fields and values in turn, as pairs [offset, length] of `bytes` from number
   * `first` on.
   */
  take(bytes: Uint8Array, view: DataView, pairs: Int32Array, first: number, fieldCount: number): void {
    this.argBytes = bytes;
    this.argView = view;
    this.pairs = pairs;
    this.first = first;
    this.fieldCount = fieldCount;
    let textBytes = 0;
    const end = 2 * (first + 2 * fieldCount);
    for (let at = 2 * first + 1; at < end; at += 2) textBytes += pairs[at];
    this.textBytes = textBytes;
  }

  /** Whether Redis would begin another node for the entry that is to be added; a limit of 0 is none. */
  isFull(block: number, bytesMax: number, entriesMax: number): boolean {
    const at = block >> 2;
    const { words } = this;
    const limit = bytesMax === 0 || bytesMax > ENTRY_TEXT_BYTES_MAX ? ENTRY_TEXT_BYTES_MAX : bytesMax;
    if (words[at + Block.ListpackBytes] + this.textBytes >= limit) return true;
    return entriesMax > 0 && words[at + Block.Live] + words[at + Block.Deleted] >= entriesMax;
  }

  /**
   * A block with the entry that is to be added as its first; 0 if there is no memory. `before`, 0 for none, is the
   * block before, whose length tells how long this one may become.
   */
  create(id: StreamId, before: number): number {
    const { words, bytes, view, fieldCount } = this;
    let fieldsBytes = 0;
    for (let field = 0; field < fieldCount; field++) {
      fieldsBytes += stringElementBytes(this.pairs[2 * (this.first + 2 * field) + 1]);
    }
    const needed = BLOCK_HEADER_BYTES + fieldsBytes + this.entryBytesMax(true, 0, 0, 0, 0);
    const expected = before === 0 ? 0 : words[(before >> 2) + Block.End] + SLACK_BYTES;
    const capacity = (Math.max(needed, expected) + 7) & ~7;
    const block = this.arena.allocate(capacity);
    if (block === 0) return 0;
    const at = block >> 2;
    id.write(words, at);
    words[at + Block.Capacity] = capacity;
    words[at + Block.Live] = 0;
    words[at + Block.Deleted] = 0;
    words[at + Block.Fields] = fieldCount;
    let listpackBytes = LISTPACK_FRAME_BYTES;
    // Counts of live and deleted entries, number of fields, and the 0 behind them.
    listpackBytes += 3 * 2 + listpackIntegerBytes(0, fieldCount);
    let position = block + BLOCK_HEADER_BYTES;
    for (let field = 0; field < fieldCount; field++) {
      const pair = 2 * (this.first + 2 * field);
      position = this.writeElement(bytes, view, position, pair);
      listpackBytes += this.writtenListpackBytes;
    }
    words[at + Block.Entries] = position - block;
    words[at + Block.End] = position - block;
    words[at + Block.Last] = position - block;
    words[at + Block.ListpackBytes] = listpackBytes;
    this.writeEntry(block, true, 0, 0, 0, 0);
    return block;
  }

  /**
   * Adds the entry that is to be added to the end of a block; its id is above all others. Returns the block, which may
   * have moved, or 0 with nothing changed if there is no memory.
   */
  append(block: number, id: StreamId): number {
    const { words } = this;
    const at = block >> 2;
    const msLow = (id.msLow - words[at + 1]) | 0;
    const msHigh = (id.msHigh - words[at] - (id.msLow >>> 0 < words[at + 1] >>> 0 ? 1 : 0)) | 0;
    const seqLow = (id.seqLow - words[at + 3]) | 0;
    const seqHigh = (id.seqHigh - words[at + 2] - (id.seqLow >>> 0 < words[at + 3] >>> 0 ? 1 : 0)) | 0;
    const hasMasterFields = this.hasMasterFields(block);
    const needed =
      words[at + Block.End] + this.entryBytesMax(hasMasterFields, msHigh, msLow, seqHigh, seqLow);
    const target = needed <= this.capacityOf(block) ? block : this.grow(block, needed);
    if (target !== 0) this.writeEntry(target, hasMasterFields, msHigh, msLow, seqHigh, seqLow);
    return target;
  }

  /** Gives a block room for `needed` bytes. Returns where it is; 0, with nothing changed, if there is no memory. */
  private grow(block: number, needed: number): number {
    const { words, arena } = this;
    const capacity = this.capacityOf(block);
    const wanted = (Math.max(needed, capacity + Math.min(capacity, GROWTH_BYTES_MAX)) + 7) & ~7;
    if (arena.resizeInPlace(block, capacity, wanted)) {
      this.setCapacity(block, wanted);
      return block;
    }
    const moved = arena.allocate(wanted);
    if (moved === 0) return 0;
    words.copyWithin(moved >> 2, block >> 2, (block + words[(block >> 2) + Block.End] + 3) >> 2);
    this.setCapacity(moved, wanted);
    arena.free(block, capacity);
    return moved;
  }

  /** Whether the fields of the entry that is to be added are those of a block's first one. */
  private hasMasterFields(block: number): boolean {
    const { words, bytes, view, argBytes, argView, pairs, fieldCount } = this;
    if (words[(block >> 2) + Block.Fields] !== fieldCount) return false;
    let at = block + BLOCK_HEADER_BYTES;
    for (let field = 0; field < fieldCount; field++) {
      const pair = 2 * (this.first + 2 * field);
      const lengthBytes = pairs[pair + 1];
      const first = bytes[at];
      if ((first & 0xc0) === 0x80) {
        if ((first & 63) !== lengthBytes) return false;
        if (!equalBytes(bytes, view, at + 1, argBytes, argView, pairs[pair], lengthBytes)) return false;
        at += 1 + lengthBytes;
      } else {
        const following = this.reader.read(at);
        const { reader } = this;
        if (reader.lengthBytes !== lengthBytes) return false;
        if (
          !equalBytes(reader.bytes, reader.view, reader.offset, argBytes, argView, pairs[pair], lengthBytes)
        ) {
          return false;
        }
        at = following;
      }
    }
    return true;
  }

  /** The most bytes that the entry that is to be added can take. */
  private entryBytesMax(
    hasMasterFields: boolean,
    msHigh: number,
    msLow: number,
    seqHigh: number,
    seqLow: number,
  ): number {
    const { pairs, first, fieldCount } = this;
    let restBytes = 1 + varintBytes(msHigh, msLow);
    if ((seqHigh | seqLow) !== 0) {
      const sign = seqHigh >> 31;
      restBytes += varintBytes(((seqHigh << 1) | (seqLow >>> 31)) ^ sign, (seqLow << 1) ^ sign);
    }
    if (!hasMasterFields) restBytes += varintBytes(0, fieldCount);
    const end = 2 * (first + 2 * fieldCount);
    const step = hasMasterFields ? 4 : 2;
    for (let at = 2 * first + (hasMasterFields ? 3 : 1); at < end; at += step) {
      restBytes += stringElementBytes(pairs[at]);
    }
    this.restBytesMax = restBytes;
    return varintBytes(0, restBytes) + restBytes;
  }

  /** Writes a text as an element; returns the position behind it. */
  private writeElement(bytes: Uint8Array, view: DataView, at: number, pair: number): number {
    const { form, argBytes, argView, pairs } = this;
    const elementBytes = form.classify(argBytes, pairs[pair], pairs[pair + 1]);
    form.write(bytes, view, at, argBytes, argView, pairs[pair], pairs[pair + 1]);
    this.writtenListpackBytes = elementBytes + backLengthBytes(elementBytes);
    return at + elementBytes;
  }

  /** Writes a number in groups of 7 bits, at least `widthBytes` of them; returns the position behind it. */
  private writeNumber(at: number, high: number, low: number, widthBytes = 1): number {
    const { bytes } = this;
    while (high !== 0 || low >>> 0 > 127 || widthBytes > 1) {
      bytes[at++] = (low & 127) | 128;
      low = (low >>> 7) | (high << 25);
      high >>>= 7;
      widthBytes--;
    }
    bytes[at++] = low;
    return at;
  }

  /** Writes the entry that was passed to `entryBytesMax` behind the last one; the block must have room for it. */
  private writeEntry(
    block: number,
    hasMasterFields: boolean,
    msHigh: number,
    msLow: number,
    seqHigh: number,
    seqLow: number,
  ): void {
    const { words, bytes, view, first, fieldCount } = this;
    const header = block >> 2;
    const start = block + words[header + Block.End];
    const lengthWidth = varintBytes(0, this.restBytesMax);
    const hasSequence = (seqHigh | seqLow) !== 0;
    let at = start + lengthWidth;
    bytes[at++] = (hasMasterFields ? EntryFlag.SameFields : 0) | (hasSequence ? 0 : EntryFlag.SameSequence);
    at = this.writeNumber(at, msHigh, msLow);
    if (hasSequence) {
      const sign = seqHigh >> 31;
      at = this.writeNumber(at, ((seqHigh << 1) | (seqLow >>> 31)) ^ sign, (seqLow << 1) ^ sign);
    }
    // Flags, milliseconds, sequence and values.
    let elements = 3 + fieldCount;
    let listpackBytes = 2 + listpackIntegerBytes(msHigh, msLow) + listpackIntegerBytes(seqHigh, seqLow);
    if (!hasMasterFields) {
      at = this.writeNumber(at, 0, fieldCount);
      elements += fieldCount + 1;
      listpackBytes += listpackIntegerBytes(0, fieldCount);
    }
    const end = 2 * (first + 2 * fieldCount);
    const step = hasMasterFields ? 4 : 2;
    for (let pair = 2 * first + (hasMasterFields ? 2 : 0); pair < end; pair += step) {
      at = this.writeElement(bytes, view, at, pair);
      listpackBytes += this.writtenListpackBytes;
    }
    listpackBytes += listpackIntegerBytes(0, elements);
    this.writeNumber(start, 0, at - start - lengthWidth, lengthWidth);
    words[header + Block.Last] = start - block;
    words[header + Block.End] = at - block;
    words[header + Block.ListpackBytes] += listpackBytes;
    this.count(block, 1, 0);
  }

  /** Adds to the counts of entries. Redis's listpack contains the counts, too, so its length may change. */
  private count(block: number, live: number, deleted: number): void {
    const { words } = this;
    const at = block >> 2;
    const newLive = words[at + Block.Live] + live;
    const newDeleted = words[at + Block.Deleted] + deleted;
    words[at + Block.ListpackBytes] +=
      listpackIntegerBytes(0, newLive) -
      listpackIntegerBytes(0, words[at + Block.Live]) +
      listpackIntegerBytes(0, newDeleted) -
      listpackIntegerBytes(0, words[at + Block.Deleted]);
    words[at + Block.Live] = newLive;
    words[at + Block.Deleted] = newDeleted;
  }

  /** Reads a number in groups of 7 bits into `high` and `low`; returns the position behind it. */
  private readNumber(at: number): number {
    const { bytes } = this;
    let byte = bytes[at++];
    if (byte < 128) {
      this.high = 0;
      this.low = byte;
      return at;
    }
    let low = byte & 127;
    let high = 0;
    for (let shift = 7; byte >= 128; shift += 7) {
      byte = bytes[at++];
      const group = byte & 127;
      if (shift < 28) {
        low |= group << shift;
      } else if (shift === 28) {
        low |= group << 28;
        high = group >>> 4;
      } else {
        high |= group << (shift - 32);
      }
    }
    this.high = high;
    this.low = low;
    return at;
  }

  /** Reads the entry at `at` of a block. */
  read(entry: StreamEntry, block: number, at: number): void {
    const { words, bytes } = this;
    const header = block >> 2;
    entry.block = block;
    entry.at = at;
    let length = bytes[at];
    if (length < 128) {
      at++;
    } else {
      at = this.readNumber(at);
      length = this.low;
    }
    entry.end = at + length;
    const flags = bytes[at++];
    entry.isDeleted = (flags & EntryFlag.Deleted) !== 0;
    at = this.readNumber(at);
    const msLow = words[header + 1] + this.low;
    const carry = (words[header + 1] >>> 0) + (this.low >>> 0) > 0xffffffff ? 1 : 0;
    entry.msLow = msLow | 0;
    entry.msHigh = (words[header] + this.high + carry) | 0;
    if ((flags & EntryFlag.SameSequence) !== 0) {
      entry.seqHigh = words[header + 2];
      entry.seqLow = words[header + 3];
    } else {
      at = this.readSequence(entry, header, at);
    }
    entry.hasMasterFields = (flags & EntryFlag.SameFields) !== 0;
    if (entry.hasMasterFields) {
      entry.fieldCount = words[header + Block.Fields];
      entry.fieldsAt = block + BLOCK_HEADER_BYTES;
    } else {
      at = this.readNumber(at);
      entry.fieldCount = this.low;
      entry.fieldsAt = at;
    }
    entry.valuesAt = at;
  }

  /** Position of what follows the entry at `at`. */
  following(at: number): number {
    const length = this.bytes[at];
    if (length < 128) return at + 1 + length;
    const rest = this.readNumber(at);
    return rest + this.low;
  }

  private readSequence(entry: StreamEntry, header: number, at: number): number {
    const { words } = this;
    const following = this.readNumber(at);
    const sign = -(this.low & 1);
    const low = ((this.low >>> 1) | (this.high << 31)) ^ sign;
    const high = (this.high >>> 1) ^ sign;
    const carry = (words[header + 3] >>> 0) + (low >>> 0) > 0xffffffff ? 1 : 0;
    entry.seqLow = (words[header + 3] + low) | 0;
    entry.seqHigh = (words[header + 2] + high + carry) | 0;
    return following;
  }

  /** Marks the entry that was read last into `entry` as deleted. */
  delete(entry: StreamEntry): void {
    this.bytes[this.readNumber(entry.at)] |= EntryFlag.Deleted;
    entry.isDeleted = true;
    this.count(entry.block, -1, 1);
  }

  /** Throws if an invariant is broken. For tests. */
  verify(block: number): void {
    const { words } = this;
    const header = block >> 2;
    const capacity = this.capacityOf(block);
    if (words[header + Block.End] > capacity) throw new Error('stream block: entries beyond the capacity');
    const { entry } = this;
    let live = 0;
    let deleted = 0;
    let last = 0;
    const previous = new StreamEntry();
    const end = this.end(block);
    for (let at = this.entries(block); at < end; at = entry.end) {
      this.read(entry, block, at);
      if (entry.end <= at || entry.end > end) throw new Error('stream block: an entry beyond the end');
      let element = entry.valuesAt;
      const elements = entry.hasMasterFields ? entry.fieldCount : 2 * entry.fieldCount;
      for (let left = elements; left > 0; left--) element += elementBytesAt(this.bytes, this.view, element);
      if (element !== entry.end) throw new Error('stream block: an entry has another length');
      if (last !== 0) {
        const order =
          compareUint64(previous.msHigh, previous.msLow, entry.msHigh, entry.msLow) ||
          compareUint64(previous.seqHigh, previous.seqLow, entry.seqHigh, entry.seqLow);
        if (order >= 0) throw new Error('stream block: ids out of order');
      }
      Object.assign(previous, entry);
      last = at;
      if (entry.isDeleted) deleted++;
      else live++;
    }
    if (live !== words[header + Block.Live] || deleted !== words[header + Block.Deleted]) {
      throw new Error('stream block: wrong counts');
    }
    if (last !== this.lastEntry(block)) throw new Error('stream block: wrong last entry');
  }
}
