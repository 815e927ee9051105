/**
 * A sorted array of integers in one block: small sets whose members are all integers. The layout is that of
 * Redis's intset, so a snapshot can copy a block into an RDB file as it stands.
 *
 *   byte 0   word   width: bytes of an integer, 2, 4 or 8
 *   byte 4   word   count
 *   byte 8          the integers, ascending, signed, little-endian
 *
 * An integer is given as the two halves of an int64, `high` and `low`, both int32: JavaScript's numbers are
 * exact only up to 2^53.
 */

import type { Arena } from '../memory/arena.js';
import { IntegerParser, writeInteger } from '../memory/numbers.js';
import type { ShardMemory } from '../memory/shard-memory.js';
import { copyBytes, moveBytes } from './copy.js';

const HEADER_BYTES = 8;
const TEXT_BYTES = 24;

/** The bytes to ask of the arena: with an eighth to spare when long, so that adding does not move it each time. */
function capacity(width: number, count: number): number {
  const lengthBytes = HEADER_BYTES + width * count;
  if (lengthBytes <= 128) return (lengthBytes + 7) & ~7;
  const step = 1 << (28 - Math.clz32(lengthBytes - 1));
  return (lengthBytes + step - 1) & -step;
}

function widthOf(high: number, low: number): number {
  if (high !== low >> 31) return 8;
  return low === (low << 16) >> 16 ? 2 : 4;
}

export class IntegerSet {
  private readonly arena: Arena;
  private readonly words: Int32Array;
  private readonly shardBytes: Uint8Array;
  private readonly view: DataView;
  private readonly parser = new IntegerParser();

  /** The integer that `parse` or `read` has found. */
  high = 0;
  low = 0;

  /** Text of the integer read last: `textLength` bytes from 0 on. */
  readonly text = new Uint8Array(TEXT_BYTES);
  readonly textView = new DataView(this.text.buffer);
  textLength = 0;

  /** Where `find` has found the integer, or would insert it. */
  position = 0;

  constructor(memory: ShardMemory, arena: Arena) {
    this.arena = arena;
    this.words = memory.words;
    this.shardBytes = memory.bytes;
    this.view = memory.view;
  }

  /** Reads the decimal form of an int64 into `high` and `low`; false if the bytes are anything else. */
  parse(bytes: Uint8Array, offset: number, lengthBytes: number): boolean {
    const { parser } = this;
    if (!parser.parse(bytes, offset, lengthBytes)) return false;
    if (parser.isSafe) {
      this.high = Math.floor(parser.value / 0x100000000);
      this.low = parser.value | 0;
    } else {
      this.high = Number(BigInt.asIntN(32, parser.big >> 32n));
      this.low = Number(BigInt.asIntN(32, parser.big));
    }
    return true;
  }

  /** A new empty set; 0 if there is no memory. */
  create(): number {
    const block = this.arena.allocate(capacity(2, 0));
    if (block === 0) return 0;
    this.words[block >> 2] = 2;
    this.words[(block >> 2) + 1] = 0;
    return block;
  }

  release(block: number): void {
    this.arena.free(block, this.blockBytes(block));
  }

  /** A copy of another set, of this shard or of another; 0 if there is no memory. */
  copy(source: IntegerSet, sourceBlock: number): number {
    const width = source.words[sourceBlock >> 2];
    const count = source.count(sourceBlock);
    const block = this.arena.allocate(capacity(width, count));
    if (block === 0) return 0;
    const lengthBytes = HEADER_BYTES + width * count;
    const { shardBytes, view } = source;
    copyBytes(this.shardBytes, this.view, block, shardBytes, view, sourceBlock, lengthBytes);
    return block;
  }

  count(block: number): number {
    return this.words[(block >> 2) + 1];
  }

  blockBytes(block: number): number {
    return capacity(this.words[block >> 2], this.words[(block >> 2) + 1]);
  }

  /** Reads the integer at an index into `high` and `low`. */
  private readHalves(block: number, index: number): void {
    const width = this.words[block >> 2];
    const at = block + HEADER_BYTES + index * width;
    if (width === 8) {
      this.low = this.view.getInt32(at, true);
      this.high = this.view.getInt32(at + 4, true);
      return;
    }
    this.low = width === 2 ? this.view.getInt16(at, true) : this.view.getInt32(at, true);
    this.high = this.low >> 31;
  }

  /** Reads the integer at an index, 0 <= index < count, as text. */
  read(block: number, index: number): void {
    this.readHalves(block, index);
    const value = this.high * 0x100000000 + (this.low >>> 0);
    if (Number.isSafeInteger(value)) {
      this.textLength = writeInteger(this.text, 0, value);
      return;
    }
    const exact = String((BigInt(this.high) << 32n) | BigInt(this.low >>> 0));
    for (let at = 0; at < exact.length; at++) this.text[at] = exact.charCodeAt(at);
    this.textLength = exact.length;
  }

  /** Looks for an integer; sets `position`. */
  find(block: number, high: number, low: number): boolean {
    const { words, view } = this;
    const width = words[block >> 2];
    let from = 0;
    let to = words[(block >> 2) + 1];
    if (widthOf(high, low) > width) {
      this.position = high < 0 ? 0 : to;
      return false;
    }
    const start = block + HEADER_BYTES;
    while (from < to) {
      const middle = (from + to) >>> 1;
      let order: number;
      if (width === 8) {
        const at = start + middle * 8;
        order = view.getInt32(at + 4, true) - high;
        if (order === 0) order = view.getUint32(at, true) - (low >>> 0);
      } else {
        order = (width === 2 ? view.getInt16(start + middle * 2, true) : words[(start >> 2) + middle]) - low;
      }
      if (order === 0) {
        this.position = middle;
        return true;
      }
      if (order < 0) from = middle + 1;
      else to = middle;
    }
    this.position = from;
    return false;
  }

  /**
   * Adds an integer that `find` has just not found. Returns the set, which may have moved, or 0 with
   * nothing changed if there is no memory.
   */
  insert(block: number, high: number, low: number): number {
    const { words, shardBytes, view } = this;
    const oldWidth = words[block >> 2];
    const count = words[(block >> 2) + 1];
    const width = Math.max(oldWidth, widthOf(high, low));
    const index = this.position;
    const moved = this.resize(block, capacity(oldWidth, count), capacity(width, count + 1), count, oldWidth);
    if (moved === 0) return 0;
    if (width !== oldWidth) this.widen(moved, oldWidth, width, count);
    const at = moved + HEADER_BYTES + index * width;
    moveBytes(shardBytes, view, at + width, at, moved + HEADER_BYTES + count * width);
    words[(moved >> 2) + 1] = count + 1;
    this.write(at, width, high, low);
    return moved;
  }

  /** Removes the integer at an index; returns the set. */
  remove(block: number, index: number): number {
    const { words, shardBytes, view } = this;
    const width = words[block >> 2];
    const count = words[(block >> 2) + 1];
    const at = block + HEADER_BYTES + index * width;
    moveBytes(shardBytes, view, at, at + width, block + HEADER_BYTES + count * width);
    words[(block >> 2) + 1] = count - 1;
    this.arena.resizeInPlace(block, capacity(width, count), capacity(width, count - 1));
    return block;
  }

  private resize(block: number, oldBytes: number, newBytes: number, count: number, width: number): number {
    if (newBytes === oldBytes || this.arena.resizeInPlace(block, oldBytes, newBytes)) return block;
    const moved = this.arena.allocate(newBytes);
    if (moved === 0) return 0;
    this.shardBytes.copyWithin(moved, block, block + HEADER_BYTES + count * width);
    this.arena.free(block, oldBytes);
    return moved;
  }

  /** Spreads the integers to a greater width, last one first. */
  private widen(block: number, oldWidth: number, width: number, count: number): void {
    for (let index = count - 1; index >= 0; index--) {
      this.words[block >> 2] = oldWidth;
      this.readHalves(block, index);
      this.write(block + HEADER_BYTES + index * width, width, this.high, this.low);
    }
    this.words[block >> 2] = width;
  }

  private write(at: number, width: number, high: number, low: number): void {
    if (width === 2) {
      this.view.setInt16(at, low, true);
      return;
    }
    this.view.setInt32(at, low, true);
    if (width === 8) this.view.setInt32(at + 4, high, true);
  }

  /** Throws if an invariant is broken. For tests. */
  verify(block: number): void {
    const width = this.words[block >> 2];
    if (width !== 2 && width !== 4 && width !== 8) throw new Error(`integer set: width ${width}`);
    let before = -(2n ** 63n) - 1n;
    for (let index = 0; index < this.count(block); index++) {
      this.readHalves(block, index);
      const value = (BigInt(this.high) << 32n) | BigInt(this.low >>> 0);
      if (value <= before) throw new Error('integer set: not ascending');
      before = value;
    }
  }
}
