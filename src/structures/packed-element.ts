/**
 * The elements of which the blocks of streams are made: strings and integers as packed-list.ts describes them, but
 * without the length behind each, since blocks are read from left to right only.
 *
 * A text that is the decimal form of an int64 is kept as that integer. So an element takes as many bytes as in Redis's
 * listpacks, except for the length behind it (`listpackBytes`).
 */

import { IntegerParser, writeInteger } from '../memory/numbers.js';
import type { ShardMemory } from '../memory/shard-memory.js';
import { copyBytes } from './copy.js';

/** The first byte of an element, with bits of the integer or the length in its lower bits (see packed-list.ts). */
export const enum Encoding {
  Integer13 = 0xc0,
  String12 = 0xe0,
  String32 = 0xf0,
  Integer16 = 0xf1,
  Integer24 = 0xf2,
  Integer32 = 0xf3,
  Integer64 = 0xf4,
}

/** The longest text of an int64. */
const TEXT_BYTES_MAX = 20;
/** Longer texts are no int64. */
const INTEGER_TEXT_BYTES_MAX = 20;
const TWO_32 = 0x100000000;

/** Bytes of the length that a listpack has behind an element of `elementBytes`. */
export function backLengthBytes(elementBytes: number): number {
  if (elementBytes <= 127) return 1;
  if (elementBytes < 16383) return 2;
  if (elementBytes < 2097151) return 3;
  return elementBytes < 268435455 ? 4 : 5;
}

/** Writes the length that a listpack has behind an element: groups of 7 bits, last group first. Returns its size. */
export function writeBackLength(bytes: Uint8Array, at: number, elementBytes: number): number {
  const lengthBytes = backLengthBytes(elementBytes);
  let rest = elementBytes;
  for (let last = at + lengthBytes - 1; last >= at; last--, rest >>>= 7) {
    bytes[last] = (rest & 127) | (last > at ? 128 : 0);
  }
  return lengthBytes;
}

/** Bytes of the element of an integer of 64 bits. */
export function integerElementBytes(high: number, low: number): number {
  if (high !== low >> 31) return 9;
  if (low >= 0 && low <= 127) return 1;
  if (low >= -4096 && low <= 4095) return 2;
  if (low >= -32768 && low <= 32767) return 3;
  return low >= -8388608 && low <= 8388607 ? 4 : 5;
}

/** Writes the element of an integer of 64 bits, which takes `elementBytes`. */
export function writeIntegerElement(
  bytes: Uint8Array,
  view: DataView,
  at: number,
  elementBytes: number,
  high: number,
  low: number,
): void {
  switch (elementBytes) {
    case 1:
      bytes[at] = low;
      break;
    case 2:
      bytes[at] = Encoding.Integer13 | ((low >> 8) & 31);
      bytes[at + 1] = low;
      break;
    case 3:
      bytes[at] = Encoding.Integer16;
      view.setInt16(at + 1, low, true);
      break;
    case 4:
      bytes[at] = Encoding.Integer24;
      view.setInt16(at + 1, low, true);
      bytes[at + 3] = low >> 16;
      break;
    case 5:
      bytes[at] = Encoding.Integer32;
      view.setInt32(at + 1, low, true);
      break;
    default:
      bytes[at] = Encoding.Integer64;
      view.setInt32(at + 1, low, true);
      view.setInt32(at + 5, high, true);
  }
}

/** Bytes of the element at `at`. */
export function elementBytesAt(bytes: Uint8Array, view: DataView, at: number): number {
  const first = bytes[at];
  if ((first & 0xc0) === 0x80) return 1 + (first & 63);
  if (first < 0x80) return 1;
  if (first < Encoding.String12) return 2;
  if (first < Encoding.String32) return 2 + (((first & 15) << 8) | bytes[at + 1]);
  if (first === Encoding.String32) return 5 + view.getInt32(at + 1, true);
  return first === Encoding.Integer64 ? 9 : first - Encoding.Integer16 + 3;
}

/** How a text is stored. */
export class ElementForm {
  private readonly parser = new IntegerParser();
  /** Bytes of the element. */
  elementBytes = 0;
  isInteger = false;
  high = 0;
  low = 0;

  /** Decides how a text is stored; returns the bytes of its element. */
  classify(bytes: Uint8Array, offset: number, lengthBytes: number): number {
    const { parser } = this;
    this.isInteger = lengthBytes <= INTEGER_TEXT_BYTES_MAX && parser.parse(bytes, offset, lengthBytes);
    if (!this.isInteger) {
      this.elementBytes = lengthBytes + (lengthBytes <= 63 ? 1 : lengthBytes <= 4095 ? 2 : 5);
      return this.elementBytes;
    }
    const { value } = parser;
    if (value === (value | 0)) {
      this.low = value | 0;
      this.high = this.low >> 31;
    } else if (parser.isSafe) {
      this.high = Math.floor(value / TWO_32);
      this.low = (value - this.high * TWO_32) | 0;
    } else {
      this.high = Number(BigInt.asIntN(32, parser.big >> 32n));
      this.low = Number(BigInt.asIntN(32, parser.big));
    }
    this.elementBytes = integerElementBytes(this.high, this.low);
    return this.elementBytes;
  }

  /** Bytes that the last text takes in a listpack. */
  get listpackBytes(): number {
    return this.elementBytes + backLengthBytes(this.elementBytes);
  }

  /** Writes the element of the text that was passed to `classify` last. */
  write(
    target: Uint8Array,
    targetView: DataView,
    at: number,
    bytes: Uint8Array,
    view: DataView,
    offset: number,
    lengthBytes: number,
  ): void {
    if (this.isInteger) {
      writeIntegerElement(target, targetView, at, this.elementBytes, this.high, this.low);
      return;
    }
    let text = at + 1;
    if (lengthBytes <= 63) {
      target[at] = 0x80 | lengthBytes;
    } else if (lengthBytes <= 4095) {
      target[at] = Encoding.String12 | (lengthBytes >> 8);
      target[at + 1] = lengthBytes;
      text = at + 2;
    } else {
      target[at] = Encoding.String32;
      targetView.setInt32(at + 1, lengthBytes, true);
      text = at + 5;
    }
    copyBytes(target, targetView, text, bytes, view, offset, lengthBytes);
  }
}

/** Reads elements as text. */
export class ElementReader {
  private readonly shardBytes: Uint8Array;
  private readonly shardView: DataView;
  private readonly text = new Uint8Array(TEXT_BYTES_MAX + 4);
  private readonly textView = new DataView(this.text.buffer);

  /** The element read last: `lengthBytes` bytes of `bytes` from `offset` on. Lasts until the next one is read. */
  bytes: Uint8Array;
  view: DataView;
  offset = 0;
  lengthBytes = 0;

  constructor(memory: ShardMemory) {
    this.shardBytes = memory.bytes;
    this.shardView = memory.view;
    this.bytes = memory.bytes;
    this.view = memory.view;
  }

  /** Reads the element at `at`; returns the position behind it. */
  read(at: number): number {
    const { shardBytes } = this;
    const first = shardBytes[at];
    if ((first & 0xc0) === 0x80) {
      const lengthBytes = first & 63;
      this.setString(at + 1, lengthBytes);
      return at + 1 + lengthBytes;
    }
    if (first < 0x80) {
      this.setInteger(first);
      return at + 1;
    }
    if ((first & 0xf0) === Encoding.String12) {
      const lengthBytes = ((first & 15) << 8) | shardBytes[at + 1];
      this.setString(at + 2, lengthBytes);
      return at + 2 + lengthBytes;
    }
    if (first === Encoding.String32) {
      const lengthBytes = this.shardView.getInt32(at + 1, true);
      this.setString(at + 5, lengthBytes);
      return at + 5 + lengthBytes;
    }
    return this.readInteger(at, first);
  }

  private setString(offset: number, lengthBytes: number): void {
    this.bytes = this.shardBytes;
    this.view = this.shardView;
    this.offset = offset;
    this.lengthBytes = lengthBytes;
  }

  private setInteger(value: number): void {
    this.bytes = this.text;
    this.view = this.textView;
    this.offset = 0;
    this.lengthBytes = writeInteger(this.text, 0, value);
  }

  private readInteger(at: number, first: number): number {
    const { shardView } = this;
    if ((first & 0xe0) === Encoding.Integer13) {
      const value = ((first & 31) << 8) | this.shardBytes[at + 1];
      this.setInteger(value >= 4096 ? value - 8192 : value);
      return at + 2;
    }
    if (first === Encoding.Integer16) {
      this.setInteger(shardView.getInt16(at + 1, true));
      return at + 3;
    }
    if (first === Encoding.Integer24) {
      this.setInteger((shardView.getInt8(at + 3) << 16) | shardView.getUint16(at + 1, true));
      return at + 4;
    }
    if (first === Encoding.Integer32) {
      this.setInteger(shardView.getInt32(at + 1, true));
      return at + 5;
    }
    const value = shardView.getInt32(at + 5, true) * TWO_32 + shardView.getUint32(at + 1, true);
    if (Number.isSafeInteger(value)) this.setInteger(value);
    else this.setBigInteger(shardView.getBigInt64(at + 1, true));
    return at + 9;
  }

  private setBigInteger(value: bigint): void {
    const text = value.toString();
    for (let at = 0; at < text.length; at++) this.text[at] = text.charCodeAt(at);
    this.bytes = this.text;
    this.view = this.textView;
    this.offset = 0;
    this.lengthBytes = text.length;
  }
}
