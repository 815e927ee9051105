/**
 * Blocks of streams as the listpacks that Redis has for them, which RDB files and payloads of DUMP hold.
 *
 *   | live | deleted | number of fields | fields | 0 | entries |
 *
 *   entry:  | flags | milliseconds | sequence | number of fields, fields and values, or values only | number of elements |
 *
 * All of these are elements of a listpack; see packed-list.ts for the frame around them, and stream-block.ts for what they mean.
 */

import type { Arena } from '../memory/arena.js';
import type { ShardMemory } from '../memory/shard-memory.js';
import { copyBytes } from './copy.js';
import {
  backLengthBytes,
  Encoding,
  elementBytesAt,
  integerElementBytes,
  writeBackLength,
  writeIntegerElement,
} from './packed-element.js';
import {
  BLOCK_HEADER_BYTES,
  Block,
  EntryFlag,
  type StreamBlocks,
  StreamEntry,
  varintBytes,
} from './stream-block.js';
import { compareUint64, type StreamId } from './stream-id.js';

const HEADER_BYTES = 6;
const END = 0xff;
const COUNT_MAX = 0xffff;

/** How many bytes a block takes at most beyond its listpack. */
const BLOCK_OVERHEAD_BYTES_MAX = BLOCK_HEADER_BYTES;

/** Returned instead of a block: there is no memory, or the listpack is damaged. */
export const enum LoadedBlock {
  NoMemory = 0,
  Damaged = -1,
}

/** Writes blocks as listpacks. */
export class StreamListpackWriter {
  private readonly entry = new StreamEntry();
  private target: Uint8Array = new Uint8Array(0);
  private targetView: DataView = new DataView(this.target.buffer);
  private at = 0;
  private elements = 0;

  /** Writes a block to the beginning of `target`, which has room for `blocks.listpackBytes(block)`. */
  write(
    memory: ShardMemory,
    blocks: StreamBlocks,
    block: number,
    target: Uint8Array,
    targetView: DataView,
  ): void {
    const { entry } = this;
    const { words } = memory;
    const header = block >> 2;
    this.target = target;
    this.targetView = targetView;
    this.at = HEADER_BYTES;
    this.elements = 0;
    this.integer(0, words[header + Block.Live]);
    this.integer(0, words[header + Block.Deleted]);
    this.integer(0, words[header + Block.Fields]);
    this.copyElements(memory, block + BLOCK_HEADER_BYTES, words[header + Block.Fields]);
    this.integer(0, 0);
    const end = blocks.end(block);
    for (let at = blocks.entries(block); at < end; at = entry.end) {
      blocks.read(entry, block, at);
      this.writeEntry(memory, header);
    }
    target[this.at++] = END;
    const total = words[header + Block.ListpackBytes];
    if (this.at !== total) throw new Error(`stream block: its listpack has ${this.at} bytes, not ${total}`);
    targetView.setUint32(0, total, true);
    targetView.setUint16(4, Math.min(this.elements, COUNT_MAX), true);
  }

  private writeEntry(memory: ShardMemory, header: number): void {
    const { entry, elements } = this;
    const { words } = memory;
    const { msHigh, msLow, seqHigh, seqLow } = entry;
    this.integer(
      0,
      (entry.isDeleted ? EntryFlag.Deleted : 0) | (entry.hasMasterFields ? EntryFlag.SameFields : 0),
    );
    const msBorrow = msLow >>> 0 < words[header + 1] >>> 0 ? 1 : 0;
    this.integer((msHigh - words[header] - msBorrow) | 0, (msLow - words[header + 1]) | 0);
    const seqBorrow = seqLow >>> 0 < words[header + 3] >>> 0 ? 1 : 0;
    this.integer((seqHigh - words[header + 2] - seqBorrow) | 0, (seqLow - words[header + 3]) | 0);
    if (entry.hasMasterFields) {
      this.copyElements(memory, entry.valuesAt, entry.fieldCount);
    } else {
      this.integer(0, entry.fieldCount);
      this.copyElements(memory, entry.valuesAt, 2 * entry.fieldCount);
    }
    this.integer(0, this.elements - elements);
  }

  private integer(high: number, low: number): void {
    const elementBytes = integerElementBytes(high, low);
    writeIntegerElement(this.target, this.targetView, this.at, elementBytes, high, low);
    this.at += elementBytes;
    this.at += writeBackLength(this.target, this.at, elementBytes);
    this.elements++;
  }

  private copyElements({ bytes, view }: ShardMemory, from: number, count: number): void {
    for (let left = count; left > 0; left--) {
      const elementBytes = elementBytesAt(bytes, view, from);
      copyBytes(this.target, this.targetView, this.at, bytes, view, from, elementBytes);
      from += elementBytes;
      this.at += elementBytes;
      this.at += writeBackLength(this.target, this.at, elementBytes);
    }
    this.elements += count;
  }
}

/** Builds blocks from listpacks, which may be damaged: each step checks that it stays within the listpack. */
export class StreamListpackReader {
  private readonly memory: ShardMemory;
  private readonly arena: Arena;

  private source: Uint8Array = new Uint8Array(0);
  private sourceView: DataView = new DataView(this.source.buffer);
  private at = 0;
  private end = 0;

  // The element read last.
  private elementAt = 0;
  private elementBytes = 0;
  private isInteger = false;
  private high = 0;
  private low = 0;

  /** Where the next byte of the block that is being built goes. */
  private position = 0;
  /** The id of the entry read last. */
  private msHigh = 0;
  private msLow = 0;
  private seqHigh = 0;
  private seqLow = 0;

  constructor(memory: ShardMemory, arena: Arena) {
    this.memory = memory;
    this.arena = arena;
  }

  /**
   * Builds the block whose first entry has this id from `lengthBytes` bytes at `offset`. Returns it, or NoMemory or
   * Damaged with nothing allocated.
   */
  load(id: StreamId, bytes: Uint8Array, view: DataView, offset: number, lengthBytes: number): number {
    if (lengthBytes < HEADER_BYTES + 1 || view.getUint32(offset, true) !== lengthBytes) {
      return LoadedBlock.Damaged;
    }
    this.source = bytes;
    this.sourceView = view;
    this.at = offset + HEADER_BYTES;
    this.end = offset + lengthBytes - 1;
    if (bytes[this.end] !== END) return LoadedBlock.Damaged;
    const capacity = (lengthBytes + BLOCK_OVERHEAD_BYTES_MAX + 7) & ~7;
    const block = this.arena.allocate(capacity);
    if (block === 0) return LoadedBlock.NoMemory;
    const { words } = this.memory;
    id.write(words, block >> 2);
    words[(block >> 2) + Block.ListpackBytes] = lengthBytes;
    const isSound = this.fill(block) && this.position - block <= capacity;
    const used = isSound ? (this.position - block + 7) & ~7 : 0;
    if (!isSound) {
      this.arena.free(block, capacity);
      return LoadedBlock.Damaged;
    }
    if (used < capacity) this.arena.resizeInPlace(block, capacity, used);
    words[(block >> 2) + Block.Capacity] = used;
    words[(block >> 2) + Block.End] = this.position - block;
    return block;
  }

  private fill(block: number): boolean {
    const { words } = this.memory;
    const header = block >> 2;
    if (!this.count()) return false;
    const liveSaid = this.low;
    if (!this.count()) return false;
    const entries = liveSaid + this.low;
    if (!this.count()) return false;
    const fieldCount = this.low;
    this.position = block + BLOCK_HEADER_BYTES;
    if (!this.copyElements(fieldCount) || !this.count() || this.low !== 0) return false;
    words[header + Block.Fields] = fieldCount;
    words[header + Block.Entries] = this.position - block;
    let live = 0;
    for (let left = entries; left > 0; left--) {
      words[header + Block.Last] = this.position - block;
      const flags = this.readEntry(header, left === entries);
      if (flags < 0) return false;
      if ((flags & EntryFlag.Deleted) === 0) live++;
    }
    words[header + Block.Live] = live;
    words[header + Block.Deleted] = entries - live;
    return entries > 0 && live === liveSaid && this.at === this.end;
  }

  /**
   * Reads an entry and adds it to the block whose header is at a word index; returns its flags, or -1 if it is damaged.
   */
  private readEntry(header: number, isFirst: boolean): number {
    const { words, bytes } = this.memory;
    if (!this.count()) return -1;
    const flags = this.low;
    if (flags > (EntryFlag.Deleted | EntryFlag.SameFields)) return -1;
    const hasMasterFields = (flags & EntryFlag.SameFields) !== 0;
    if (!this.integer()) return -1;
    const { high: msHigh, low: msLow } = this;
    if (!this.integer()) return -1;
    const { high: seqHigh, low: seqLow } = this;
    if (!this.goOn(header, msHigh, msLow, seqHigh, seqLow) && !isFirst) return -1;
    let fieldCount = words[header + Block.Fields];
    if (!hasMasterFields) {
      if (!this.count()) return -1;
      fieldCount = this.low;
    }
    const textElements = hasMasterFields ? fieldCount : 2 * fieldCount;
    const hasSequence = (seqHigh | seqLow) !== 0;
    const sign = seqHigh >> 31;
    const zigzagHigh = ((seqHigh << 1) | (seqLow >>> 31)) ^ sign;
    const zigzagLow = (seqLow << 1) ^ sign;
    const frameBytes =
      1 +
      varintBytes(msHigh, msLow) +
      (hasSequence ? varintBytes(zigzagHigh, zigzagLow) : 0) +
      (hasMasterFields ? 0 : varintBytes(0, fieldCount));
    const textBytes = this.elementsBytes(textElements);
    if (textBytes < 0) return -1;
    this.writeNumber(0, frameBytes + textBytes);
    bytes[this.position++] = flags | (hasSequence ? 0 : EntryFlag.SameSequence);
    this.writeNumber(msHigh, msLow);
    if (hasSequence) this.writeNumber(zigzagHigh, zigzagLow);
    if (!hasMasterFields) this.writeNumber(0, fieldCount);
    if (!this.copyElements(textElements)) return -1;
    const elements = 3 + textElements + (hasMasterFields ? 0 : 1);
    return this.count() && this.low === elements ? flags : -1;
  }

  /** Goes on to the id with these differences to the first one; false unless it is above the id before. */
  private goOn(header: number, msHigh: number, msLow: number, seqHigh: number, seqLow: number): boolean {
    const { words } = this.memory;
    const ms = (words[header + 1] + msLow) | 0;
    const msCarry = (words[header + 1] >>> 0) + (msLow >>> 0) > 0xffffffff ? 1 : 0;
    const msTop = (words[header] + msHigh + msCarry) | 0;
    const seq = (words[header + 3] + seqLow) | 0;
    const seqCarry = (words[header + 3] >>> 0) + (seqLow >>> 0) > 0xffffffff ? 1 : 0;
    const seqTop = (words[header + 2] + seqHigh + seqCarry) | 0;
    const order =
      compareUint64(this.msHigh, this.msLow, msTop, ms) ||
      compareUint64(this.seqHigh, this.seqLow, seqTop, seq);
    this.msHigh = msTop;
    this.msLow = ms;
    this.seqHigh = seqTop;
    this.seqLow = seq;
    return order < 0;
  }

  private writeNumber(high: number, low: number): void {
    const { bytes } = this.memory;
    while (high !== 0 || low >>> 0 > 127) {
      bytes[this.position++] = (low & 127) | 128;
      low = (low >>> 7) | (high << 25);
      high >>>= 7;
    }
    bytes[this.position++] = low;
  }

  /** Reads the next element; false if there is none, or it is damaged. */
  private next(): boolean {
    const { source, sourceView, at, end } = this;
    if (at >= end) return false;
    const first = source[at];
    // The widest head of an element is 5 bytes, the widest integer 9.
    const headBytes =
      first < 0x80 || (first & 0xc0) === 0x80
        ? 1
        : first < Encoding.String32
          ? 2
          : first === Encoding.String32
            ? 5
            : 1;
    if (first > Encoding.Integer64 || at + headBytes > end) return false;
    const elementBytes = elementBytesAt(source, sourceView, at);
    if (elementBytes <= 0 || elementBytes > end - at) return false;
    this.elementAt = at;
    this.elementBytes = elementBytes;
    this.isInteger = first < 0x80 || (first & 0xe0) === Encoding.Integer13 || first > Encoding.String32;
    if (this.isInteger) this.readInteger(first);
    return this.passBackLength();
  }

  /** Skips the length behind an element; false if it is not the element's length. */
  private passBackLength(): boolean {
    const { elementBytes } = this;
    const lengthBytes = backLengthBytes(elementBytes);
    let at = this.elementAt + elementBytes;
    if (at + lengthBytes > this.end) return false;
    let said = 0;
    for (let left = lengthBytes; left > 0; left--) said = said * 128 + (this.source[at++] & 127);
    this.at = at;
    return said === elementBytes;
  }

  private readInteger(first: number): void {
    const { source, sourceView, elementAt: at } = this;
    if (first === Encoding.Integer64) {
      this.low = sourceView.getInt32(at + 1, true);
      this.high = sourceView.getInt32(at + 5, true);
      return;
    }
    if (first < 0x80) {
      this.low = first;
    } else if (first < Encoding.String12) {
      const value = ((first & 31) << 8) | source[at + 1];
      this.low = value >= 4096 ? value - 8192 : value;
    } else if (first === Encoding.Integer16) {
      this.low = sourceView.getInt16(at + 1, true);
    } else if (first === Encoding.Integer32) {
      this.low = sourceView.getInt32(at + 1, true);
    } else {
      this.low = (sourceView.getInt8(at + 3) << 16) | sourceView.getUint16(at + 1, true);
    }
    this.high = this.low >> 31;
  }

  private integer(): boolean {
    return this.next() && this.isInteger;
  }

  /** Reads a count, which is not negative. */
  private count(): boolean {
    return this.integer() && this.high === 0 && this.low >= 0;
  }

  /** Bytes of the next `count` elements, which are not consumed; -1 if they are damaged. */
  private elementsBytes(count: number): number {
    const start = this.at;
    // Each takes two bytes at least.
    if (count > (this.end - start) >> 1) return -1;
    let total = 0;
    for (let left = count; left > 0; left--) {
      if (!this.next()) return -1;
      total += this.elementBytes;
    }
    this.at = start;
    return total;
  }

  /** Copies the next `count` elements to the block; false if they are damaged. */
  private copyElements(count: number): boolean {
    const { bytes, view } = this.memory;
    if (count > (this.end - this.at) >> 1) return false;
    for (let left = count; left > 0; left--) {
      if (!this.next()) return false;
      copyBytes(bytes, view, this.position, this.source, this.sourceView, this.elementAt, this.elementBytes);
      this.position += this.elementBytes;
    }
    return true;
  }
}
