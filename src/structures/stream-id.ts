/**
 * Ids of stream entries: two unsigned 64-bit numbers, milliseconds and a sequence number, written "ms-seq".
 *
 * In shared memory an id is four words, most significant first, so that ids compare word by word:
 *
 *   | milliseconds, high | milliseconds, low | sequence, high | sequence, low |
 *
 * Words are int32 in JavaScript but stand for unsigned numbers.
 */

import { integerLength, writeInteger } from '../memory/numbers.js';

/** Words of an id. */
export const ID_WORDS = 4;
/** The longest text of an id: two numbers of 20 digits and what is between them. */
const ID_TEXT_BYTES_MAX = 41;

const TWO_32 = 0x100000000;
/** A number whose high word is below this is exact as a double. */
const SAFE_HIGH = 0x200000;
/** Digits of a number that is surely exact as a double. */
const SAFE_DIGITS = 15;
/** Longer texts are no ids, whatever is in them. */
const TEXT_BYTES_MAX = 127;

const MINUS = 0x2d;
const PLUS = 0x2b;
const STAR = 0x2a;
const DIGIT_0 = 0x30;

/** Order of two numbers of 64 bits: below, equal to or above 0. */
export function compareUint64(
  leftHigh: number,
  leftLow: number,
  rightHigh: number,
  rightLow: number,
): number {
  if (leftHigh !== rightHigh) return leftHigh >>> 0 < rightHigh >>> 0 ? -1 : 1;
  if (leftLow !== rightLow) return leftLow >>> 0 < rightLow >>> 0 ? -1 : 1;
  return 0;
}

/** A number of 64 bits, exact up to 2^53. */
export function uint64ToNumber(high: number, low: number): number {
  return (high >>> 0) * TWO_32 + (low >>> 0);
}

/** A number of 64 bits. */
export function uint64ToBigInt(high: number, low: number): bigint {
  return (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);
}

/** Sets an int64 in shared memory, low half first, at a word index. */
export function setInt64(words: Int32Array, at: number, value: bigint): void {
  words[at] = Number(BigInt.asIntN(32, value));
  words[at + 1] = Number(BigInt.asIntN(32, value >> 32n));
}

/** Adds to an int64 in shared memory, low half first, at a word index. */
export function addInt64(words: Int32Array, at: number, added: number): void {
  const sum = (words[at] >>> 0) + added;
  words[at] = sum | 0;
  if (sum >= TWO_32) words[at + 1]++;
  else if (sum < 0) words[at + 1]--;
}

/** Writes a number of 64 bits in decimal; returns its length. */
export function writeUint64(bytes: Uint8Array, offset: number, high: number, low: number): number {
  if (high >>> 0 < SAFE_HIGH) return writeInteger(bytes, offset, (high >>> 0) * TWO_32 + (low >>> 0));
  const text = uint64ToBigInt(high, low).toString();
  for (let at = 0; at < text.length; at++) bytes[offset + at] = text.charCodeAt(at);
  return text.length;
}

/** Bytes that `writeUint64` writes. */
export function uint64Length(high: number, low: number): number {
  if (high >>> 0 < SAFE_HIGH) return integerLength((high >>> 0) * TWO_32 + (low >>> 0));
  return uint64ToBigInt(high, low).toString().length;
}

// What `parseUint64` has read.
let parsedHigh = 0;
let parsedLow = 0;

function setParsed(value: bigint): true {
  parsedHigh = Number((value >> 32n) & 0xffffffffn) | 0;
  parsedLow = Number(value & 0xffffffffn) | 0;
  return true;
}

/**
 * Reads a number as Redis does, which calls strtoull for any text that is not plain digits: spaces, a sign and zeros
 * may come first, and with a minus sign the number is subtracted from 2^64.
 */
function parseUnusual(bytes: Uint8Array, from: number, end: number): boolean {
  const text = String.fromCharCode(...bytes.subarray(from, end));
  const match = /^([ \t-\r]*)([+-]?)(\d+)$/.exec(text);
  if (match === null) return false;
  const [, spaces, sign, digits] = match;
  const value = BigInt(digits);
  if (value >= 1n << 64n) return false;
  if (sign !== '-') return setParsed(value);
  const isPlainNegative = spaces === '' && digits[0] !== '0' && value <= 1n << 63n;
  return !isPlainNegative && setParsed(((1n << 64n) - value) & ((1n << 64n) - 1n));
}

function parseUint64(bytes: Uint8Array, from: number, end: number): boolean {
  if (end - from > SAFE_DIGITS) return parseUnusual(bytes, from, end);
  let value = 0;
  for (let at = from; at < end; at++) {
    const digit = bytes[at] - DIGIT_0;
    if (digit < 0 || digit > 9) return parseUnusual(bytes, from, end);
    value = value * 10 + digit;
  }
  if (from === end) return false;
  parsedHigh = Math.floor(value / TWO_32);
  parsedLow = value | 0;
  if (value >= TWO_32) parsedLow = (value - parsedHigh * TWO_32) | 0;
  return true;
}

export class StreamId {
  msHigh = 0;
  msLow = 0;
  seqHigh = 0;
  seqLow = 0;
  /** The last text that was parsed left the sequence number to the stream ("ms-*"). */
  isSequenceOpen = false;

  set(msHigh: number, msLow: number, seqHigh: number, seqLow: number): void {
    this.msHigh = msHigh;
    this.msLow = msLow;
    this.seqHigh = seqHigh;
    this.seqLow = seqLow;
  }

  setMin(): void {
    this.set(0, 0, 0, 0);
  }

  setMax(): void {
    this.set(-1, -1, -1, -1);
  }

  copyFrom(other: StreamId): void {
    this.set(other.msHigh, other.msLow, other.seqHigh, other.seqLow);
  }

  /** Takes an id from shared memory, at a word index. */
  read(words: Int32Array, at: number): void {
    this.set(words[at], words[at + 1], words[at + 2], words[at + 3]);
  }

  /** Puts the id into shared memory, at a word index. */
  write(words: Int32Array, at: number): void {
    words[at] = this.msHigh;
    words[at + 1] = this.msLow;
    words[at + 2] = this.seqHigh;
    words[at + 3] = this.seqLow;
  }

  /** Sets the milliseconds to a safe integer and the sequence number to 0. */
  setMs(ms: number): void {
    const high = Math.floor(ms / TWO_32);
    this.set(high, (ms - high * TWO_32) | 0, 0, 0);
  }

  get isMin(): boolean {
    return (this.msHigh | this.msLow | this.seqHigh | this.seqLow) === 0;
  }

  get isMax(): boolean {
    return (this.msHigh & this.msLow & this.seqHigh & this.seqLow) === -1;
  }

  compare(other: StreamId): number {
    return (
      compareUint64(this.msHigh, this.msLow, other.msHigh, other.msLow) ||
      compareUint64(this.seqHigh, this.seqLow, other.seqHigh, other.seqLow)
    );
  }

  /** Order of this id and the one in shared memory at a word index. */
  compareTo(words: Int32Array, at: number): number {
    return (
      compareUint64(this.msHigh, this.msLow, words[at], words[at + 1]) ||
      compareUint64(this.seqHigh, this.seqLow, words[at + 2], words[at + 3])
    );
  }

  /** Goes on to the next id; false if there is none, and then wraps around to the smallest one. */
  increment(): boolean {
    this.seqLow = (this.seqLow + 1) | 0;
    if (this.seqLow !== 0) return true;
    this.seqHigh = (this.seqHigh + 1) | 0;
    if (this.seqHigh !== 0) return true;
    this.msLow = (this.msLow + 1) | 0;
    if (this.msLow !== 0) return true;
    this.msHigh = (this.msHigh + 1) | 0;
    return this.msHigh !== 0;
  }

  /** Goes back to the id before; false if there is none, and then wraps around to the largest one. */
  decrement(): boolean {
    this.seqLow = (this.seqLow - 1) | 0;
    if (this.seqLow !== -1) return true;
    this.seqHigh = (this.seqHigh - 1) | 0;
    if (this.seqHigh !== -1) return true;
    this.msLow = (this.msLow - 1) | 0;
    if (this.msLow !== -1) return true;
    this.msHigh = (this.msHigh - 1) | 0;
    return this.msHigh !== -1;
  }

  /**
   * Reads "ms-seq", or "ms" with a sequence number of 0, or with `missingIsMax` the largest one. With `mayBeOpen`,
   * "ms-*" is an id, too: `isSequenceOpen` says so. Returns false if the text is no id.
   */
  parse(
    bytes: Uint8Array,
    offset: number,
    lengthBytes: number,
    missingIsMax = false,
    mayBeOpen = false,
  ): boolean {
    this.isSequenceOpen = false;
    if (lengthBytes > TEXT_BYTES_MAX) return false;
    // As in C, a zero byte ends the text.
    let end = offset;
    let split = -1;
    for (; end < offset + lengthBytes && bytes[end] !== 0; end++) {
      if (split < 0 && bytes[end] === MINUS) split = end;
    }
    if (!parseUint64(bytes, offset, split < 0 ? end : split)) return false;
    this.msHigh = parsedHigh;
    this.msLow = parsedLow;
    this.seqHigh = this.seqLow = missingIsMax ? -1 : 0;
    if (split < 0) return true;
    if (mayBeOpen && end === split + 2 && bytes[split + 1] === STAR) {
      this.isSequenceOpen = true;
      this.seqHigh = this.seqLow = 0;
      return true;
    }
    if (!parseUint64(bytes, split + 1, end)) return false;
    this.seqHigh = parsedHigh;
    this.seqLow = parsedLow;
    return true;
  }

  /** Like `parse`, but "-" and "+" are the smallest and the largest id. */
  parseLimit(bytes: Uint8Array, offset: number, lengthBytes: number, missingIsMax: boolean): boolean {
    if (isSign(bytes, offset, lengthBytes)) {
      if (bytes[offset] === MINUS) this.setMin();
      else this.setMax();
      return true;
    }
    return this.parse(bytes, offset, lengthBytes, missingIsMax);
  }

  toString(): string {
    return `${uint64ToBigInt(this.msHigh, this.msLow)}-${uint64ToBigInt(this.seqHigh, this.seqLow)}`;
  }
}

/** The text of one id after the other: many have the same milliseconds, which are not written again. */
export class IdText {
  /** With room behind the text: copies read some bytes more than they need. */
  readonly bytes = new Uint8Array(ID_TEXT_BYTES_MAX + 8);
  readonly view = new DataView(this.bytes.buffer);
  private msHigh = 0;
  private msLow = 0;
  /** Length of the milliseconds and the minus behind them; 0 before the first id. */
  private prefixBytes = 0;

  /** Writes the text of an id to `bytes`; returns its length. */
  write(id: StreamId): number {
    const { bytes } = this;
    if (this.prefixBytes === 0 || id.msLow !== this.msLow || id.msHigh !== this.msHigh) {
      this.msHigh = id.msHigh;
      this.msLow = id.msLow;
      this.prefixBytes = writeUint64(bytes, 0, id.msHigh, id.msLow) + 1;
      bytes[this.prefixBytes - 1] = MINUS;
    }
    return this.prefixBytes + writeUint64(bytes, this.prefixBytes, id.seqHigh, id.seqLow);
  }
}

/** Whether a text is "-" or "+" (also if a zero byte follows, which ends a string in C). */
function isSign(bytes: Uint8Array, offset: number, lengthBytes: number): boolean {
  if (lengthBytes === 0 || (lengthBytes > 1 && bytes[offset + 1] !== 0)) return false;
  return bytes[offset] === MINUS || bytes[offset] === PLUS;
}

/** A list of ids that grows. */
export class IdList {
  private words = new Int32Array(64 * ID_WORDS);
  count = 0;

  clear(): void {
    this.count = 0;
  }

  add(id: StreamId): void {
    if ((this.count + 1) * ID_WORDS > this.words.length) {
      const words = new Int32Array(2 * this.words.length);
      words.set(this.words);
      this.words = words;
    }
    id.write(this.words, this.count++ * ID_WORDS);
  }

  read(index: number, id: StreamId): void {
    id.read(this.words, index * ID_WORDS);
  }

  set(index: number, id: StreamId): void {
    id.write(this.words, index * ID_WORDS);
  }
}
