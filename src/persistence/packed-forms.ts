/**
 * The blocks that RDB files hold whole: listpacks, ziplists, integer sets and zipmaps. A walk reads their
 * elements one at a time and trusts nothing: each step stays within the block, and an element that does not
 * makes it throw.
 *
 * The counts and back references of a block are held against its elements, as Redis does: bytes that are damaged without being
 * out of bounds are found, too.
 *
 *   ziplist    | total bytes (4) | last element (4) | count (2) | elements | 255 |
 *   element    | length of the element before (1, or 254 and 4) | encoding | bytes |
 *
 *   zipmap     | count | length, field, length, free bytes, value, free bytes ... | 255 |
 *
 * The other two are what packed-list.ts and integer-set.ts describe.
 */

import { RdbError } from './rdb-format.js';
import type { RdbString } from './rdb-input.js';

const END = 0xff;

/** A count of 16 bits says at most that it is not known; that of a zipmap is a byte. */
const COUNT_UNKNOWN = 0xffff;
const ZIPMAP_COUNT_UNKNOWN = 254;

export const enum BlockKind {
  Listpack = 0,
  Ziplist = 1,
  Intset = 2,
  Zipmap = 3,
}

const NAMES: readonly string[] = ['listpack', 'ziplist', 'intset', 'zipmap'];

export class BlockWalk {
  private bytes!: Uint8Array;
  private view!: DataView;
  private kind: BlockKind = BlockKind.Listpack;
  private at = 0;
  private end = 0;
  private width = 0;
  /** What the header says: -1 if nothing. */
  private count = -1;
  private elements = 0;
  /** Where a ziplist's last element begins, by its header, and where the element before begins, both in the bytes. */
  private last = 0;
  private before = 0;
  /** The next string of a zipmap is a value, which is preceded by a byte that counts its free bytes. */
  private isValue = false;

  /** Begins at the first element of a block, which must stay where it is. */
  begin(kind: BlockKind, block: RdbString): void {
    const { bytes, view, offset, lengthBytes } = block;
    this.kind = kind;
    this.bytes = bytes;
    this.view = view;
    this.end = offset + lengthBytes;
    if (kind === BlockKind.Intset) {
      this.beginIntset(offset, lengthBytes);
      return;
    }
    const header = kind === BlockKind.Listpack ? 6 : kind === BlockKind.Ziplist ? 10 : 1;
    if (lengthBytes < header + 1) this.damaged('is cut');
    if (kind !== BlockKind.Zipmap && view.getUint32(offset, true) !== lengthBytes) {
      this.damaged('has another length than it says');
    }
    this.end--;
    if (bytes[this.end] !== END) this.damaged('does not end');
    this.at = offset + header;
    this.isValue = false;
    this.elements = 0;
    this.count = this.countOf(kind, offset);
    this.before = this.at;
    if (kind === BlockKind.Ziplist) this.last = offset + view.getUint32(offset + 4, true);
  }

  /** The number of elements that a header tells. */
  private countOf(kind: BlockKind, offset: number): number {
    if (kind === BlockKind.Zipmap) {
      const pairs = this.bytes[offset];
      return pairs >= ZIPMAP_COUNT_UNKNOWN ? -1 : 2 * pairs;
    }
    const count = this.view.getUint16(offset + (kind === BlockKind.Listpack ? 4 : 8), true);
    return count === COUNT_UNKNOWN ? -1 : count;
  }

  /** After the last element: what the header has told must be so. */
  private checkHeader(): void {
    if (this.count >= 0 && this.count !== this.elements)
      this.damaged('has another number of elements than it says');
    if (this.kind === BlockKind.Ziplist && this.last !== this.before) {
      this.damaged('does not say where its last element is');
    }
  }

  private beginIntset(offset: number, lengthBytes: number): void {
    if (lengthBytes < 8) this.damaged('is cut');
    this.count = -1;
    this.width = this.view.getUint32(offset, true);
    if (this.width !== 2 && this.width !== 4 && this.width !== 8) this.damaged('has no known width');
    if (this.view.getUint32(offset + 4, true) * this.width !== lengthBytes - 8) {
      this.damaged('has another length than it says');
    }
    this.at = offset + 8;
  }

  private damaged(problem: string): never {
    throw new RdbError(`a ${NAMES[this.kind]} ${problem}`);
  }

  /** Moves on by `lengthBytes`, all of them within the block; returns where they begin. */
  private take(lengthBytes: number): number {
    const from = this.at;
    if (lengthBytes > this.end - from) this.damaged('has an element beyond its end');
    this.at = from + lengthBytes;
    return from;
  }

  get isAtEnd(): boolean {
    return this.at === this.end;
  }

  /** Reads the next element; false at the end. */
  next(target: RdbString): boolean {
    if (this.isAtEnd) {
      this.checkHeader();
      return false;
    }
    this.elements++;
    switch (this.kind) {
      case BlockKind.Listpack:
        this.listpackElement(target);
        break;
      case BlockKind.Ziplist:
        this.ziplistElement(target);
        break;
      case BlockKind.Intset:
        this.integer(target, this.width);
        break;
      default:
        this.zipmapString(target);
    }
    return true;
  }

  /** Reads an element that must be there. */
  mustNext(target: RdbString): void {
    if (!this.next(target)) this.damaged('has an odd number of elements');
  }

  private setString(target: RdbString, lengthBytes: number): void {
    target.set(this.bytes, this.view, this.take(lengthBytes), lengthBytes);
  }

  /** A signed integer of 1, 2, 3, 4 or 8 bytes. */
  private integer(target: RdbString, width: number): void {
    const at = this.take(width);
    const { view } = this;
    if (width === 8) {
      const value = view.getInt32(at + 4, true) * 0x100000000 + view.getUint32(at, true);
      if (Number.isSafeInteger(value)) target.setInteger(value);
      else target.setBigInteger(view.getBigInt64(at, true));
      return;
    }
    let value: number;
    if (width === 1) value = view.getInt8(at);
    else if (width === 2) value = view.getInt16(at, true);
    else if (width === 3) value = (view.getInt8(at + 2) << 16) | view.getUint16(at, true);
    else value = view.getInt32(at, true);
    target.setInteger(value);
  }

  private listpackElement(target: RdbString): void {
    const start = this.at;
    const { bytes } = this;
    const first = bytes[this.take(1)];
    if (first < 0x80) {
      target.setInteger(first);
    } else if (first < 0xc0) {
      this.setString(target, first & 63);
    } else if (first < 0xe0) {
      const value = ((first & 31) << 8) | bytes[this.take(1)];
      target.setInteger(value >= 4096 ? value - 8192 : value);
    } else if (first < 0xf0) {
      this.setString(target, ((first & 15) << 8) | bytes[this.take(1)]);
    } else if (first === 0xf0) {
      this.setString(target, this.view.getUint32(this.take(4), true));
    } else if (first <= 0xf3) {
      this.integer(target, first - 0xef);
    } else if (first === 0xf4) {
      this.integer(target, 8);
    } else {
      this.damaged(`has an element that begins with byte ${first}`);
    }
    this.backLength(this.at - start);
  }

  /** Passes over the length that follows an element, which must be the element's. */
  private backLength(lengthBytes: number): void {
    const width =
      lengthBytes <= 127
        ? 1
        : lengthBytes < 16383
          ? 2
          : lengthBytes < 2097151
            ? 3
            : lengthBytes < 268435455
              ? 4
              : 5;
    const at = this.take(width);
    let said = 0;
    for (let byte = 0; byte < width; byte++) said = said * 128 + (this.bytes[at + byte] & 127);
    if (said !== lengthBytes) this.damaged('has an element with a wrong back length');
  }

  private ziplistElement(target: RdbString): void {
    const { bytes, view } = this;
    const start = this.at;
    let backLength = bytes[this.take(1)];
    if (backLength === 254) backLength = view.getUint32(this.take(4), true);
    // 0 at the first element, where both are the same.
    if (backLength !== start - this.before) this.damaged('has an element with a wrong back length');
    this.before = start;
    const first = bytes[this.take(1)];
    if (first < 0x40) this.setString(target, first);
    else if (first < 0x80) this.setString(target, ((first & 63) << 8) | bytes[this.take(1)]);
    else if (first === 0x80) this.setString(target, view.getUint32(this.take(4)));
    else if (first === 0xc0) this.integer(target, 2);
    else if (first === 0xd0) this.integer(target, 4);
    else if (first === 0xe0) this.integer(target, 8);
    else if (first === 0xf0) this.integer(target, 3);
    else if (first === 0xfe) this.integer(target, 1);
    else if (first > 0xf0 && first < 0xfe) target.setInteger((first & 15) - 1);
    else this.damaged(`has an element of encoding ${first}`);
  }

  private zipmapString(target: RdbString): void {
    let lengthBytes = this.bytes[this.take(1)];
    if (lengthBytes === END) this.damaged('ends too early');
    if (lengthBytes === 254) lengthBytes = this.view.getUint32(this.take(4), true);
    const freeBytes = this.isValue ? this.bytes[this.take(1)] : 0;
    this.setString(target, lengthBytes);
    this.take(freeBytes);
    this.isValue = !this.isValue;
  }
}
