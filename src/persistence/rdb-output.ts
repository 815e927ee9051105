/**
 * Bytes in RDB's forms, into a buffer that grows. Where there is a file, what has gathered goes to it from
 * time to time (`flush`); a payload of DUMP stays in the buffer.
 */

import { lzfCompress } from '../memory/lzf.js';
import { IntegerParser } from '../memory/numbers.js';
import { ByteOutput } from './byte-output.js';
import { Crc64 } from './crc64.js';
import { COMPRESSED_BYTES_MIN, RdbEncoding } from './rdb-format.js';

const LENGTH_BYTES_MAX = 9;
/** A longer string is no int32. */
const INTEGER_TEXT_BYTES_MAX = 11;
/**
 * From this length on, a sample is compressed first: trying a whole string of hundreds of megabytes takes seconds,
 * while the shard is locked, and images or archives get no shorter.
 */
const SAMPLED_BYTES_MIN = 1 << 20;
const SAMPLE_BYTES = 64 * 1024;

/** Bytes of a `lengthField`. */
function lengthFieldBytes(value: number): number {
  if (value < 64) return 1;
  if (value < 16384) return 2;
  return value <= 0xffffffff ? 5 : LENGTH_BYTES_MAX;
}

export class RdbOutput extends ByteOutput {
  /** Whether long strings are compressed (`rdbcompression`). */
  compresses = true;
  readonly checksum = new Crc64();
  private readonly parser = new IntegerParser();

  /** A length or another number from 0 up to 2^53. */
  lengthField(value: number): void {
    this.reserve(LENGTH_BYTES_MAX);
    const { bytes, view, length } = this;
    if (value < 64) {
      bytes[length] = value;
      this.length = length + 1;
    } else if (value < 16384) {
      bytes[length] = 0x40 | (value >> 8);
      bytes[length + 1] = value;
      this.length = length + 2;
    } else if (value <= 0xffffffff) {
      bytes[length] = 0x80;
      view.setUint32(length + 1, value);
      this.length = length + 5;
    } else {
      bytes[length] = 0x81;
      view.setUint32(length + 1, Math.floor(value / 0x100000000));
      view.setUint32(length + 5, value >>> 0);
      this.length = length + 9;
    }
  }

  /** The same for a number of 64 bits. */
  lengthField64(high: number, low: number): void {
    if (high === 0) {
      this.lengthField(low >>> 0);
      return;
    }
    this.reserve(LENGTH_BYTES_MAX);
    this.bytes[this.length] = 0x81;
    this.view.setInt32(this.length + 1, high);
    this.view.setInt32(this.length + 5, low);
    this.length += LENGTH_BYTES_MAX;
  }

  /** An integer from 0 to 2^53 in eight bytes. */
  integer64(value: number): void {
    this.reserve(8);
    this.view.setUint32(this.length, value >>> 0, true);
    this.view.setInt32(this.length + 4, Math.floor(value / 0x100000000), true);
    this.length += 8;
  }

  double(value: number): void {
    this.reserve(8);
    this.view.setFloat64(this.length, value, true);
    this.length += 8;
  }

  /** ASCII text as a string. */
  text(text: string): void {
    this.lengthField(text.length);
    this.rawText(text);
  }

  /** A string in the shortest form: as an integer, compressed, or as it is. */
  string(source: Uint8Array, sourceView: DataView, offset: number, lengthBytes: number): void {
    if (lengthBytes <= INTEGER_TEXT_BYTES_MAX) {
      if (this.integerString(source, offset, lengthBytes)) return;
    } else if (this.compressedString(source, sourceView, offset, lengthBytes)) {
      return;
    }
    this.lengthField(lengthBytes);
    this.raw(source, sourceView, offset, lengthBytes);
  }

  /** A block (a packed list, an integer set) as a string: as it is, or compressed. */
  block(source: Uint8Array, sourceView: DataView, offset: number, lengthBytes: number): void {
    if (this.compressedString(source, sourceView, offset, lengthBytes)) return;
    this.lengthField(lengthBytes);
    this.raw(source, sourceView, offset, lengthBytes);
  }

  private integerString(source: Uint8Array, offset: number, lengthBytes: number): boolean {
    const { parser } = this;
    if (!parser.parse(source, offset, lengthBytes) || !parser.isSafe) return false;
    const { value } = parser;
    if (value !== (value | 0)) return false;
    this.reserve(5);
    const { bytes, view, length } = this;
    if (value === (value << 24) >> 24) {
      bytes[length] = 0xc0 | RdbEncoding.Int8;
      bytes[length + 1] = value;
      this.length = length + 2;
    } else if (value === (value << 16) >> 16) {
      bytes[length] = 0xc0 | RdbEncoding.Int16;
      view.setInt16(length + 1, value, true);
      this.length = length + 3;
    } else {
      bytes[length] = 0xc0 | RdbEncoding.Int32;
      view.setInt32(length + 1, value, true);
      this.length = length + 5;
    }
    return true;
  }

  private compressedString(source: Uint8Array, view: DataView, offset: number, lengthBytes: number): boolean {
    if (!this.compresses || lengthBytes < COMPRESSED_BYTES_MIN) return false;
    if (lengthBytes >= SAMPLED_BYTES_MIN && !this.getsShorter(source, view, offset, lengthBytes))
      return false;
    const start = this.length;
    const fixedHeadBytes = 1 + lengthFieldBytes(lengthBytes);
    // Compressed right into its final place if it becomes half as long; otherwise it may have to be moved.
    const from = start + fixedHeadBytes + lengthFieldBytes(lengthBytes >> 1);
    this.reserve(1 + 2 * LENGTH_BYTES_MAX + lengthBytes);
    const compressed = lzfCompress(source, view, offset, lengthBytes, this.bytes, from, lengthBytes - 4);
    if (compressed === 0) return false;
    const to = start + fixedHeadBytes + lengthFieldBytes(compressed);
    if (to !== from) this.bytes.copyWithin(to, from, from + compressed);
    this.byte(0xc0 | RdbEncoding.Lzf);
    this.lengthField(compressed);
    this.lengthField(lengthBytes);
    this.length += compressed;
    return true;
  }

  /** Whether the middle of a long string can be compressed. Its beginning may be a header that is no example. */
  private getsShorter(source: Uint8Array, view: DataView, offset: number, lengthBytes: number): boolean {
    this.reserve(SAMPLE_BYTES);
    const from = offset + ((lengthBytes - SAMPLE_BYTES) >> 1);
    return lzfCompress(source, view, from, SAMPLE_BYTES, this.bytes, this.length, SAMPLE_BYTES - 4) > 0;
  }

  /** Adds what is in the buffer to the checksum. */
  addToChecksum(): void {
    this.checksum.update(this.bytes, this.view, 0, this.length);
  }

  /** The checksum, low half first. */
  writeChecksum(): void {
    this.reserve(8);
    this.view.setInt32(this.length, this.checksum.low, true);
    this.view.setInt32(this.length + 4, this.checksum.high, true);
    this.length += 8;
  }
}
