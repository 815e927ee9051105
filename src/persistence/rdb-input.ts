/**
 * Reads RDB's forms from a file, through a buffer, or from a payload in memory. Every method throws an RdbError
 * that names the offset if there are fewer bytes than it needs, or bytes that make no sense.
 */

import { lzfDecompress } from '../memory/lzf.js';
import { writeInteger } from '../memory/numbers.js';
import type { ByteSource } from '../system/files.js';
import { Crc64 } from './crc64.js';
import { RdbEncoding, RdbError, STRING_BYTES_MAX } from './rdb-format.js';

const BUFFER_BYTES = 1 << 20;
/** A buffer that one long string has made larger than this is given up afterwards. */
const KEEP_BYTES_MAX = 16 << 20;
const SCRATCH_BYTES = 64;
/** LZF compresses at best 264 bytes to three. */
const LZF_RATIO_MAX = 264;

/** A string that was read: `lengthBytes` bytes of `bytes` from `offset` on. */
export class RdbString {
  bytes: Uint8Array;
  view: DataView;
  offset = 0;
  lengthBytes = 0;
  private scratch: Uint8Array;
  private scratchView: DataView;

  constructor() {
    this.scratch = new Uint8Array(SCRATCH_BYTES);
    this.scratchView = new DataView(this.scratch.buffer);
    this.bytes = this.scratch;
    this.view = this.scratchView;
  }

  set(bytes: Uint8Array, view: DataView, offset: number, lengthBytes: number): void {
    this.bytes = bytes;
    this.view = view;
    this.offset = offset;
    this.lengthBytes = lengthBytes;
  }

  /** Makes the string `lengthBytes` bytes in its own memory, with undefined contents. */
  own(lengthBytes: number): Uint8Array {
    const isTooLarge = this.scratch.length > KEEP_BYTES_MAX && lengthBytes <= KEEP_BYTES_MAX;
    if (lengthBytes > this.scratch.length || isTooLarge) {
      this.scratch = new Uint8Array(Math.max(lengthBytes, SCRATCH_BYTES));
      this.scratchView = new DataView(this.scratch.buffer);
    }
    this.set(this.scratch, this.scratchView, 0, lengthBytes);
    return this.scratch;
  }

  /** Moves the string to memory of its own, where later reads do not overwrite it. */
  keep(): void {
    const { bytes, offset, lengthBytes } = this;
    if (bytes === this.scratch) return;
    const own = this.own(lengthBytes);
    for (let at = 0; at < lengthBytes; at++) own[at] = bytes[offset + at];
  }

  setInteger(value: number): void {
    this.own(SCRATCH_BYTES);
    this.lengthBytes = writeInteger(this.scratch, 0, value);
  }

  setBigInteger(value: bigint): void {
    const text = String(value);
    const own = this.own(text.length);
    for (let at = 0; at < text.length; at++) own[at] = text.charCodeAt(at);
  }

  /** The string with one character per byte. For names and messages. */
  latin1(): string {
    return Buffer.from(this.bytes.buffer, this.bytes.byteOffset + this.offset, this.lengthBytes).toString(
      'latin1',
    );
  }
}

export class RdbInput {
  bytes: Uint8Array;
  view: DataView;
  /** Index in `bytes` of what is read next. */
  position: number;
  private end: number;
  private readonly source: ByteSource | null;
  /** Offset in the file of the buffer's first byte. */
  private bufferOffset = 0;
  /** Index up to which the bytes are in the checksum. */
  private checksummed: number;
  private readonly checksum = new Crc64();
  /** If off, `checksumMatches` is always true. */
  private readonly hasChecksum: boolean;
  /** The last length was no length but an RdbEncoding. */
  private isEncoded = false;

  private constructor(
    source: ByteSource | null,
    bytes: Uint8Array,
    position: number,
    end: number,
    hasChecksum: boolean,
  ) {
    this.source = source;
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.position = position;
    this.checksummed = position;
    this.end = end;
    this.hasChecksum = hasChecksum;
  }

  static fromSource(source: ByteSource, hasChecksum = true): RdbInput {
    return new RdbInput(source, new Uint8Array(BUFFER_BYTES), 0, 0, hasChecksum);
  }

  static fromBytes(bytes: Uint8Array, offset: number, lengthBytes: number): RdbInput {
    return new RdbInput(null, bytes, offset, offset + lengthBytes, false);
  }

  /** A second input that reads the same source from an offset on; offsets mean the same in both. */
  from(offset: number): RdbInput {
    if (this.source === null) return new RdbInput(null, this.bytes, offset, this.end, false);
    const input = RdbInput.fromSource(this.source, false);
    input.bufferOffset = offset;
    return input;
  }

  /** Offset in the file (or the payload's buffer) of what is read next. */
  get offset(): number {
    return this.bufferOffset + this.position;
  }

  /** Index in `bytes` up to which they have been read from the source. */
  get bufferedEnd(): number {
    return this.end;
  }

  /** Bytes that are left to read. */
  get remaining(): number {
    return (this.source === null ? this.end : this.source.lengthBytes) - this.offset;
  }

  /** An error that says where. */
  fail(problem: string, offset = this.offset): never {
    throw new RdbError(`${problem} at offset ${offset}`);
  }

  /** Makes sure that `lengthBytes` bytes are in the buffer from `position` on. */
  need(lengthBytes: number): void {
    if (this.end - this.position < lengthBytes) this.fill(lengthBytes);
  }

  private fill(lengthBytes: number): void {
    const { source } = this;
    if (source === null || lengthBytes > this.remaining) {
      this.fail(`unexpected end: ${lengthBytes} bytes are needed and ${this.remaining} are left`);
    }
    this.addToChecksum();
    const left = this.end - this.position;
    if (
      lengthBytes > this.bytes.length ||
      (this.bytes.length > KEEP_BYTES_MAX && lengthBytes <= BUFFER_BYTES)
    ) {
      const grown = new Uint8Array(Math.max(lengthBytes, BUFFER_BYTES));
      grown.set(this.bytes.subarray(this.position, this.end));
      this.bytes = grown;
      this.view = new DataView(grown.buffer);
    } else {
      this.bytes.copyWithin(0, this.position, this.end);
    }
    this.bufferOffset += this.position;
    this.position = 0;
    this.checksummed = 0;
    this.end = left;
    while (this.end < lengthBytes) {
      const room = this.bytes.length - this.end;
      const count = source.read(this.bytes, this.end, room, this.bufferOffset + this.end);
      if (count === 0) this.fail('unexpected end', this.bufferOffset + this.end);
      this.end += count;
    }
  }

  private addToChecksum(): void {
    if (this.hasChecksum) {
      this.checksum.update(this.bytes, this.view, this.checksummed, this.position - this.checksummed);
    }
    this.checksummed = this.position;
  }

  /** Reads the checksum of all before it; false if it is another. A checksum of 0 means that there is none. */
  checksumMatches(): boolean {
    this.need(8);
    this.addToChecksum();
    const low = this.view.getInt32(this.position, true);
    const high = this.view.getInt32(this.position + 4, true);
    this.position += 8;
    if (low === 0 && high === 0) return true;
    return !this.hasChecksum || (low === this.checksum.low && high === this.checksum.high);
  }

  byte(): number {
    this.need(1);
    return this.bytes[this.position++];
  }

  int32(): number {
    this.need(4);
    this.position += 4;
    return this.view.getInt32(this.position - 4, true);
  }

  /** A signed integer of 8 bytes, rounded to a double. */
  int64(): number {
    this.need(8);
    this.position += 8;
    const at = this.position - 8;
    return this.view.getInt32(at + 4, true) * 0x100000000 + this.view.getUint32(at, true);
  }

  double(): number {
    this.need(8);
    this.position += 8;
    return this.view.getFloat64(this.position - 8, true);
  }

  private lengthOrEncoding(): number {
    const first = this.byte();
    this.isEncoded = false;
    switch (first >> 6) {
      case 0:
        return first;
      case 1:
        return ((first & 63) << 8) | this.byte();
      case 2:
        if (first === 0x80) {
          this.need(4);
          this.position += 4;
          return this.view.getUint32(this.position - 4);
        }
        if (first === 0x81) {
          this.need(8);
          this.position += 8;
          const at = this.position - 8;
          return this.view.getUint32(at) * 0x100000000 + this.view.getUint32(at + 4);
        }
        return this.fail(`no length begins with byte ${first}`, this.offset - 1);
      default:
        this.isEncoded = true;
        return first & 63;
    }
  }

  /** A length or another number, exact up to 2^53. */
  length(): number {
    const at = this.offset;
    const length = this.lengthOrEncoding();
    if (this.isEncoded) this.fail('a string is where a number should be', at);
    return length;
  }

  /** A length or another number of up to 64 bits. */
  length64(): bigint {
    const length = this.length();
    if (length <= Number.MAX_SAFE_INTEGER) return BigInt(length);
    return this.view.getBigUint64(this.position - 8);
  }

  /** A number of items that take at least `bytesEach` bytes each. */
  count(bytesEach: number): number {
    const at = this.offset;
    const count = this.length();
    if (count * bytesEach > this.remaining) this.fail(`absurd count ${count}`, at);
    return count;
  }

  /** Reads a string in any form. It may lie in the input's buffer: then it is valid until the next read, or `keep`. */
  string(target: RdbString): void {
    const at = this.offset;
    const length = this.lengthOrEncoding();
    if (this.isEncoded) {
      this.encodedString(target, length, at);
      return;
    }
    if (length > STRING_BYTES_MAX || length > this.remaining)
      this.fail(`absurd length ${length} of a string`, at);
    this.need(length);
    target.set(this.bytes, this.view, this.position, length);
    this.position += length;
  }

  private encodedString(target: RdbString, encoding: number, at: number): void {
    switch (encoding) {
      case RdbEncoding.Int8:
        target.setInteger((this.byte() << 24) >> 24);
        break;
      case RdbEncoding.Int16:
        this.need(2);
        target.setInteger(this.view.getInt16(this.position, true));
        this.position += 2;
        break;
      case RdbEncoding.Int32:
        target.setInteger(this.int32());
        break;
      case RdbEncoding.Lzf:
        this.compressedString(target, at);
        break;
      default:
        this.fail(`unknown encoding ${encoding} of a string`, at);
    }
  }

  private compressedString(target: RdbString, at: number): void {
    const compressed = this.length();
    const length = this.length();
    if (compressed > this.remaining || length > STRING_BYTES_MAX || length > compressed * LZF_RATIO_MAX) {
      this.fail(`absurd length ${compressed} or ${length} of a compressed string`, at);
    }
    this.need(compressed);
    if (!lzfDecompress(this.bytes, this.position, compressed, target.own(length), 0, length)) {
      this.fail('a compressed string is damaged', at);
    }
    this.position += compressed;
  }

  /** Passes over a string without looking at it. */
  skipString(): void {
    const at = this.offset;
    const length = this.lengthOrEncoding();
    if (!this.isEncoded) {
      this.skip(length, at);
    } else if (length === RdbEncoding.Lzf) {
      const compressed = this.length();
      this.length();
      this.skip(compressed, at);
    } else if (length <= RdbEncoding.Int32) {
      this.skip(1 << length, at);
    } else {
      this.fail(`unknown encoding ${length} of a string`, at);
    }
  }

  private skip(lengthBytes: number, at: number): void {
    if (lengthBytes > this.remaining) this.fail(`absurd length ${lengthBytes} of a string`, at);
    while (lengthBytes > 0) {
      const step = Math.min(lengthBytes, BUFFER_BYTES);
      this.need(step);
      this.position += step;
      lengthBytes -= step;
    }
  }

  skipBytes(lengthBytes: number): void {
    this.skip(lengthBytes, this.offset);
  }
}
